// Package rules is millrace's rule language: rule files in, an immutable
// program out.
//
// Load runs the whole pipeline: parse (YAML to a tree with positions), check
// (every name, type and limit, all errors at once), compile (typed closures
// over projected records). `check`, `run`, hot reload and tests call Load, so
// what passes the check starts.
//
// The package is pure: no clock, no network, no logger, no randomness and no
// order of a Go map reaches a result. Expressions take their syntax from
// expr-lang; types, null safety, limits and evaluation are here (README.md).
package rules
