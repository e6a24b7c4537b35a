package check

import "github.com/barman-go/barman/core/sinks"

// sinks tells whether all sinks have what the catalogue says, of a server that has
// any but its own directory.
func (c *checker) sinks() {
	for _, sink := range append(c.server.BackupSinks(), c.server.WALSinks()...) {
		if sink.Home {
			continue
		}
		behind, err := sinks.Behind(c.server, c.now)
		if err != nil {
			behind = err.Error()
		}
		c.add("sinks", behind == "", behind)
		return
	}
}
