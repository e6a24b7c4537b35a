// Package reference holds the simplest stages that keep the contract of package
// sdk. The conformance suite is checked against them: they pass, and what
// breaks them in one way fails the check for that way.
package reference
