// Package test drives the built barman against real PostgreSQL servers, from
// the configuration to the rows of the recovered cluster.
package test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// atOnce is how many tests run side by side. Each has servers of its own; more
// of them would only wait for each other on a small machine.
const atOnce = "2"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
