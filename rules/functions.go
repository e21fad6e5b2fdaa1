package rules

import "github.com/millrace-io/millrace/schemas"

// Function documents one function of the language.
type Function struct {
	Group     string
	Name      string
	Signature string
	Doc       string
	Example   string // an expression
	Want      string // an expression with the value of Example
	List      bool   // Example yields a list
}

// Functions returns the documentation of all functions, in order of groups.
func Functions() []Function {
	var out []Function
	for _, f := range functionList() {
		out = append(out, Function{
			Group: f.group, Name: f.name, Signature: f.signature, Doc: f.doc, Example: f.example, Want: f.want,
			List: f.result.Kind == schemas.List,
		})
	}
	return out
}
