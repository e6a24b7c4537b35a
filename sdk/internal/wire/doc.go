// Package wire joins the interfaces of package sdk to lanes: it emits, absorbs
// and transforms objects, and carries acknowledgements back. Both the plugin's
// side (package serve) and the core's (package host) are built on it.
package wire
