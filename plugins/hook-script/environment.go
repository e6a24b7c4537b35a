package main

import (
	"slices"
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/serve"
)

// The variables of an event, without BARMAN_ (Barman manual, "Hook scripts").
// A script finds all those of its operation set, if only to nothing.
var (
	alwaysValues = []string{"VERSION", "CONFIGURATION"}
	backupValues = []string{"BACKUP_DIR", "BACKUP_INFO_PATH", "BACKUP_ID", "PREVIOUS_ID", "NEXT_ID", "STATUS"}
	walValues    = []string{"SEGMENT", "FILE", "SIZE", "TIMESTAMP", "COMPRESSION"}
	recoveryOnly = []string{"DESTINATION_DIRECTORY", "TABLESPACES", "REMOTE_COMMAND", "RECOVER_OPTIONS"}
	ownValues    = []string{"SERVER", "HOOK", "RETRY", "PHASE", "ERROR"}
	eventValues  = slices.Concat(alwaysValues, backupValues, walValues, recoveryOnly, ownValues)
)

// maxError bounds BARMAN_ERROR: the kernel takes 128 KiB for a variable and
// refuses to start a program with more.
const maxError = 32 << 10

func valuesOf(operation string) []string {
	switch operation {
	case "backup", "delete":
		return slices.Concat(alwaysValues, backupValues)
	case "archive", "wal_delete":
		return slices.Concat(alwaysValues, walValues)
	case "recovery":
		return slices.Concat(alwaysValues, backupValues, recoveryOnly)
	}
	return alwaysValues
}

// environment is all that a script sees: what this process inherited, without
// what was meant for the process itself or belongs to another event, and the
// event.
func environment(inherited []string, e sdk.Event, retry bool) []string {
	var env []string
	for _, entry := range serve.ChildEnvironment(inherited) {
		name, _, _ := strings.Cut(entry, "=")
		if !ofAnEvent(name) {
			env = append(env, entry)
		}
	}
	values := map[string]string{}
	for _, name := range valuesOf(e.Operation) {
		values[name] = ""
	}
	for name, value := range e.Values {
		values[name] = value
	}
	values["SERVER"] = e.Server
	values["PHASE"] = string(e.Phase)
	values["ERROR"] = e.Error[:min(len(e.Error), maxError)]
	values["HOOK"], values["RETRY"] = e.Operation+"_script", "0"
	if retry {
		values["HOOK"], values["RETRY"] = e.Operation+"_retry_script", "1"
	}
	event := make([]string, 0, len(values))
	for name, value := range values {
		// No program can be started with a NUL in its environment.
		event = append(event, "BARMAN_"+strings.ReplaceAll(name+"="+value, "\x00", ""))
	}
	slices.Sort(event)
	return append(env, event...)
}

// ofAnEvent tells of variables that barman inherits when a hook script runs it.
func ofAnEvent(name string) bool {
	rest, found := strings.CutPrefix(name, "BARMAN_")
	return found && slices.Contains(eventValues, rest)
}
