package rules

// ErrorCode documents one error code; README.md's index is made from these.
type ErrorCode struct {
	Code string
	What string // what is wrong
	Do   string // what to do about it
}

// ErrorCodes returns the index of all error codes, sorted.
func ErrorCodes() []ErrorCode {
	return []ErrorCode{
		{codeRead, "The file cannot be read, or is no regular file.", "Check the path and its permissions; devices, pipes and directories are no rule files."},
		{codeText, "The file is not UTF-8 or holds control characters.", "Save it as UTF-8 text."},
		{codeYAML, "The file is not YAML.", "Indent with blanks; put quotes around values with `: `, or that start with `!`, `@`, `%` or a backquote."},
		{codeAnchor, "YAML anchors, aliases, merge keys and tags are not allowed.", "Write the value out, or use an expression; quote what starts with `!`, `&` or `*`."},
		{codeDupKey, "A key is in one mapping twice.", "Delete one; YAML would take the last and say nothing."},
		{codeDocuments, "A second YAML document follows `---`.", "Put it into a file of its own."},
		{codeEmpty, "The file is empty.", "Delete it, or write rules."},
		{codeMisread, "YAML reads the value as something else than people do: `010` is 8, `1_000` is 1000, `NO` is text, a date is a date.", "Write the plain number, or quotes around text."},
		{codeExtension, "The file ends in `.yml`.", "Rename it to `.yaml`; others would be ignored."},

		{codeUnknownKey, "The key does not exist here.", "Check the spelling; all keys are listed above."},
		{codeMissingKey, "A required key is missing.", "Add it."},
		{codeForm, "A mapping, list or value stands where another form belongs.", "Compare with the examples above."},
		{codeName, "A name holds characters that names cannot have, or is a word of the language.", "Letters, digits, `-` and `_`; in expressions without `-`."},
		{codeValue, "The value is none of the allowed ones.", "The message lists them; durations need a unit."},
		{codeTwice, "A stream, rule, input, column or key is declared twice.", "Rename or delete one."},
		{codeUnsupported, "The clause belongs to a kind of rule that this version does not have.", "Leave it out, or update."},
		{codeClauses, "Clauses do not go together.", "The message says which, and why."},
		{codeRoute, "A route can never be taken.", "Put the route without `when` last."},
		{codeUnbounded, "The rule keeps state for every key for ever.", "Give it a `window`, a detection `within`, or say `unbounded: true` if that is meant."},
		{codeWindow, "There is no such window.", "One of `size`, `gap`, `sliding`, `count`; a size is a multiple of its hop."},
		{codeJoin, "There is no such join.", "Two inputs or more, only inner with more; `within` has bounds for each input but the first."},
		{codeTable, "There is no such table or lookup.", "Declare the stream with `table: true`, or `table: {history: 1d}` for `as_of`; all tables of a lookup go by one key; a table join has two inputs."},
		{codeDetect, "There is no such detection: a stage is not in the pattern, a gap is too long, `skip` goes nowhere.", "The message says which, and why."},
		{codeShape, "A part of the pattern cannot match, or cannot be where or as it is: negated, optional, repeated.", "The message says why, and what can be written."},

		{codeStream, "No such stream is declared.", "Write `domain.stream`; declare it in the domain's `streams.yaml`."},
		{codeSchema, "No such schema, or it is no record.", "Schemas are named in full: `commerce.Purchase`."},
		{codeTopic, "The topic's name is impossible or internal.", "Take another; `__…` and `<app>.…` are reserved."},
		{codeTopicTwice, "Two streams have one topic.", "Declare the topic once, and read it from both places."},
		{codeStreamField, "`key` or `time` names no fitting field.", "Keys are string, int or bool; times are timestamps or ints of milliseconds."},
		{codeForeign, "A rule writes a stream of another domain.", "Write a stream of your own, and let the other domain read it."},
		{codeOwnInput, "A rule writes its own input.", "Write another stream."},
		{codeCycle, "Streams feed each other in a circle.", "Break the circle: every result would cause another."},
		{codeNoKey, "A written stream has no key.", "Declare `key:` for it."},
		{codeLate, "`late_to` has another schema than the input.", "Late records are written as they came."},
		{codeFed, "A feed writes a stream that rules write.", "Feed a stream that no rule writes."},
		{codeRetract, "The rule retracts what it wrote, and the stream takes records without a value for dead letters.", "Declare `tombstones: ignore` for the stream."},

		{codeSyntax, "The expression cannot be parsed.", "See the caret. In plain YAML, `#` after a blank starts a comment."},
		{codeNotInRules, "The syntax belongs to expr-lang but not to rules.", "No `let`, `reduce`, methods, or patterns from data."},
		{codeUnknownName, "The name is no input and nothing else.", "Fields are `alias.field`; text constants need quotes inside of the YAML value."},
		{codeUnknownFunc, "There is no such function.", "See the table of functions."},
		{codeArguments, "The function takes another number of arguments.", "The help shows its signature."},
		{codePointer, "`#` stands outside of a predicate.", "Use it inside of `any(list, …)` and the like."},
		{codeAggregate, "An aggregate stands where nothing is aggregated.", "Aggregates belong in `select`, `having` and `when` of rules with `by`."},
		{codeKeyName, "`key` is used in a rule without `by`.", "Use the field."},
		{codeNoField, "The record or row has no such field or column.", "Check the spelling against the schema."},
		{codeWindowName, "`window` is used where there is no window.", "`window.start` and `window.end` belong in `select`, `having` and `when` of rules with a window of time."},
		{codeNoRecord, "A window that closes has no record.", "Aggregate its records: `last(x)`, `first(x)`, `max(x)`; the group's key is `key`."},
		{codeWhichRecord, "A join has a record of every input, so `event` is none and in `where` no input is null; a detection has one per stage.", "Name the input or stage; whether a side is unmatched is known in `select`, `having` and `when`."},
		{codePatternText, "The pattern of a detection cannot be parsed.", "See the caret, and the grammar above; put brackets around parts."},
		{codeStage, "A stage is read where it has captured nothing, or an aggregate over captures ranges over none or several.", "Read stages that come before in the pattern; one stage for each aggregate."},

		{codeOperands, "An operator or function does not work on these types.", "Convert one side: `int`, `float`, `string`, `to_millis`, `parse_time`."},
		{codeNull, "The value may be null where none may be.", "`(x ?? default)`, `x != nil && …`, `?.`"},
		{codeSelect, "The value does not fit the output field.", "Convert it."},
		{codeNullable, "The value may be null and the output field may not.", "`x ?? default`"},
		{codeSymbol, "The constant is no symbol of the enum.", "The help lists the symbols."},
		{codeMissing, "An output field has no value.", "Select it, or give it a default in the schema."},
		{codeNoOutput, "The output schema has no such field.", "Check the spelling against the schema."},
		{codeReserved, "millrace itself sets this field.", "Leave it out of `select`."},
		{codeCondition, "A condition is no bool.", "Compare with something; for a nullable bool say `?? false`."},
		{codeKeyType, "A key is no string, int or bool, or may be null.", "`string(…)`, `?? default`, or a `where` that drops such records."},
		{codeConstant, "A constant can only fail: a bad pattern, number, time or duration.", "Correct it."},
		{codeInputs, "Not all inputs have the field, or not with one type.", "Name the key or field per input."},

		{codeFileSize, "The file is larger than 1 MiB.", "Split it."},
		{codeDepth, "The YAML is nested deeper than 32 levels.", "No rule needs that."},
		{codeManyRules, "The file has more than 1,000 rules.", "Split it."},
		{codeLength, "The expression is longer than 10,000 bytes.", "Split the rule."},
		{codeNodes, "The expression has more than 1,000 parts (a condition, 10,000 with the selected values it names).", "Split the rule."},
		{codeNesting, "Brackets are nested deeper than 100.", "Split the rule."},
		{codePredicate, "Predicates are nested deeper than 2.", "Split the rule in two, over a stream in between."},
		{codePattern, "The pattern is longer than 256 bytes or compiles to more than 1,000 steps.", "Repetitions count by their number; use `startsWith`, `contains`."},
		{codeErrors, "There are more than 1,000 errors.", "Correct the first ones."},
		{codeStages, "The pattern has more than 64 stages, repeats more than 10,000 times, nests brackets deeper than 16 or numbered repetitions deeper than 4, or has too many orders of `&`.", "Split the rule in two, over a stream in between."},

		{codeSteps, "At run time: the expression takes more than 100,000 steps.", "Shorter lists, fewer predicates."},
		{codeBytes, "At run time: the expression builds more than 1 MiB.", "Smaller texts and lists."},
		{codeOverflow, "At run time: an int does not fit into 64 bits.", "Use floats: `float(x) * y`."},
		{codeConvert, "At run time: a text is no number, time or bool.", "Filter such records with `where`, for instance by `matches`."},
		{codeDivision, "At run time: `%` or `mod` by zero.", "Test the divisor first. (`/` by zero is infinite.)"},
		{codeArgument, "At run time: an argument is out of its range.", "The message says which."},
		{codeColumns, "A row has other columns than the feed declares.", "Correct `columns`, or the file."},

		{codeHold, "A warning: `skip` may hold matches back, until runs that began before them have ended.", "Shorten `within`, or write `skip: none` and drop repetitions with `dedupe` in a rule behind it."},
	}
}
