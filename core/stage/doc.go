// Package stage finds plugin binaries, decides what they may see of the
// environment, and starts them in a private run directory.
package stage
