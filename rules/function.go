package rules

type function struct{ name string }
