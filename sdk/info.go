package sdk

// Info tells who a plugin is.
type Info struct {
	// Name is the plugin's name: the last part of its binary's name, and the
	// label of its block in the configuration.
	Name string
	// Version is the plugin's own version.
	Version string
	// Doc is one sentence on what it does.
	Doc string
}
