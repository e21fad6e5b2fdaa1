package rules

// The stable error codes. README.md explains each with an example; a test
// holds both lists together. A code is never used again for something else.
const (
	codeRead      = "E101" // file cannot be read, or is no regular file
	codeText      = "E102" // not UTF-8, or control characters
	codeYAML      = "E103" // YAML syntax
	codeAnchor    = "E104" // anchor, alias, merge key or tag
	codeDupKey    = "E105" // key twice in one mapping
	codeDocuments = "E106" // more than one document
	codeEmpty     = "E107" // nothing in the file
	codeMisread   = "E108" // YAML reads the value as something else
	codeExtension = "E109" // .yml

	codeUnknownKey  = "E201" // key that this place does not have
	codeMissingKey  = "E202" // required key is missing
	codeForm        = "E203" // mapping where text is expected, and the like
	codeName        = "E204" // name with characters it may not have
	codeValue       = "E205" // value that is none of the allowed ones
	codeTwice       = "E206" // rule, stream or alias declared twice
	codeUnsupported = "E207" // clause of a later version
	codeClauses     = "E208" // clauses that do not go together
	codeRoute       = "E209" // route that is never taken
	codeUnbounded   = "E210" // state that grows without bound
	codeWindow      = "E211" // window that cannot be
	codeJoin        = "E212" // join that cannot be
	codeDetect      = "E213" // detection that cannot be
	codeShape       = "E214" // pattern with a part that cannot be where or as it is

	codeStream      = "E301" // unknown stream
	codeSchema      = "E302" // unknown schema, or no record
	codeTopic       = "E303" // bad or internal topic
	codeTopicTwice  = "E304" // two streams on one topic
	codeStreamField = "E305" // key or time names no fitting field
	codeForeign     = "E306" // rule writes another domain's stream
	codeOwnInput    = "E307" // rule writes its own input
	codeCycle       = "E308" // streams feed each other in a circle
	codeNoKey       = "E309" // written stream declares no key
	codeLate        = "E310" // late_to stream does not fit the input
	codeFed         = "E311" // feed writes a stream that rules write
	codeRetract     = "E312" // stream gets records without a value and does not say what they are

	codeSyntax      = "E401" // expression cannot be parsed
	codeNotInRules  = "E402" // syntax of expr-lang that rules do not have
	codeUnknownName = "E403" // unknown name
	codeUnknownFunc = "E404" // unknown function
	codeArguments   = "E405" // wrong number of arguments
	codePointer     = "E406" // # outside of a predicate
	codeAggregate   = "E407" // aggregate call where none can be
	codeKeyName     = "E408" // key outside of an aggregate
	codeNoField     = "E412" // record has no such field
	codeWindowName  = "E413" // window outside of what a window has
	codeNoRecord    = "E414" // record where a window has closed
	codeWhichRecord = "E415" // asking which record is there, where one of every input is
	codePatternText = "E416" // pattern of a detection cannot be parsed
	codeStage       = "E417" // stage of a pattern read where it has captured nothing

	codeOperands  = "E501" // operand or argument types do not fit
	codeNull      = "E502" // value may be null here
	codeSelect    = "E503" // selected value does not fit the output field
	codeNullable  = "E504" // selected value may be null, the field may not
	codeSymbol    = "E505" // constant is no symbol of the enum
	codeMissing   = "E506" // output field without value
	codeNoOutput  = "E507" // output schema has no such field
	codeReserved  = "E508" // field that millrace itself sets
	codeCondition = "E509" // condition is no bool
	codeKeyType   = "E510" // key is no string, int or bool, or may be null
	codeConstant  = "E511" // constant that can only fail
	codeInputs    = "E512" // inputs do not share the field, or not its type

	codeFileSize  = "E601" // file over 1 MiB
	codeDepth     = "E602" // YAML nested too deep
	codeManyRules = "E603" // more than 1,000 rules in a file
	codeLength    = "E604" // expression over 10,000 bytes
	codeNodes     = "E605" // expression of over 1,000 nodes
	codeNesting   = "E606" // brackets nested too deep
	codePredicate = "E607" // predicates nested too deep
	codePattern   = "E608" // pattern too long
	codeErrors    = "E609" // too many errors
	codeStages    = "E610" // pattern of too many stages or repetitions

	codeSteps    = "E701" // step budget spent
	codeBytes    = "E702" // memory budget spent
	codeOverflow = "E703" // integer overflow
	codeConvert  = "E704" // text that is no number, time or bool
	codeDivision = "E705" // remainder of a division by zero
	codeArgument = "E706" // argument out of its range
	codeColumns  = "E707" // row with another number of columns than declared

	codeHold = "W101" // matches that may be held back
)
