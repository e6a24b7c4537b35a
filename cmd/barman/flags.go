package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// durationVar adds a flag for a length of time, which may be a plain number of
// seconds as well as one with units.
func durationVar(flags *pflag.FlagSet, target *time.Duration, name, usage string) {
	flags.Var((*secondsOrDuration)(target), name, usage)
}

type secondsOrDuration time.Duration

func (d *secondsOrDuration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *secondsOrDuration) Type() string { return "TIME" }

func (d *secondsOrDuration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if seconds, notANumber := strconv.ParseUint(text, 10, 31); notANumber == nil {
		parsed, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is neither a number of seconds nor one like 90s or 10m", text)
	}
	*d = secondsOrDuration(parsed)
	return nil
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
