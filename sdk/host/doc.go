// Package host is the other end of package serve: it starts a plugin's binary
// as a subprocess, speaks the control protocol with it, and gives the core its
// own ends of lanes. A plugin's author does not need it.
package host
