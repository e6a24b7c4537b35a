package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/barman-go/barman/core/catalogue"
)

// AboutBackup are the values of events that are about a backup; none without a
// hook, for they cost a look at all backups. Previous and next are the backups
// before and after it whose copies are complete.
func (h *Hooks) AboutBackup(b *catalogue.Backup) (map[string]string, error) {
	if !h.Configured() {
		return nil, nil
	}
	s := h.server
	values := map[string]string{
		"BACKUP_ID": string(b.ID), "BACKUP_DIR": s.Catalogue.Directory(b.ID), "STATUS": string(b.State),
		"PREVIOUS_ID": "", "NEXT_ID": "",
	}
	var err error
	if values["BACKUP_INFO_PATH"], err = s.Catalogue.InfoPath(b.ID); err != nil {
		return nil, err
	}
	for entry, err := range s.Catalogue.Entries() {
		if err != nil {
			return nil, err
		}
		if entry.Backup == nil || !entry.Backup.State.CopyDone() {
			continue
		}
		switch {
		case entry.ID < b.ID:
			values["PREVIOUS_ID"] = string(entry.ID)
		case entry.ID > b.ID && values["NEXT_ID"] == "":
			values["NEXT_ID"] = string(entry.ID)
		}
	}
	return values, nil
}

// WithoutNeighbours takes previous and next out of values that are about a
// backup: one that is not in the catalogue any more has none.
func WithoutNeighbours(values map[string]string) {
	if values != nil {
		values["PREVIOUS_ID"], values["NEXT_ID"] = "", ""
	}
}

// RecoveryOptions are what the hooks are told of a recovery.
type RecoveryOptions struct {
	// Destination is the data directory that is made.
	Destination string
	// Tablespaces are the new locations that were asked for, by name.
	Tablespaces map[string]string
	// RemoteCommand is the command that leads to another host; empty for this one.
	RemoteCommand string
	// TargetTime, TargetXID, TargetLSN, TargetName and TargetAction are as they
	// were given; empty for none.
	TargetTime, TargetXID, TargetLSN, TargetName, TargetAction string
	// TargetTimeline is a number, "latest" or "current"; empty for none.
	TargetTimeline string
	// TargetImmediate, Exclusive and StandbyMode tell of these options.
	TargetImmediate, Exclusive, StandbyMode bool
}

// AboutRecovery are the values of the events of a recovery; none without a hook.
func (h *Hooks) AboutRecovery(b *catalogue.Backup, o RecoveryOptions) (map[string]string, error) {
	values, err := h.AboutBackup(b)
	if err != nil || values == nil {
		return values, err
	}
	values["DESTINATION_DIRECTORY"], values["REMOTE_COMMAND"] = o.Destination, o.RemoteCommand
	tablespaces := map[string]any{}
	for name, location := range o.Tablespaces {
		tablespaces[name] = location
	}
	if values["TABLESPACES"], err = object(tablespaces); err != nil {
		return nil, err
	}
	values["RECOVER_OPTIONS"], err = object(o.given())
	return values, err
}

// given are the options that were given, by the names that scripts know.
func (o RecoveryOptions) given() map[string]any {
	given := map[string]any{}
	for name, value := range map[string]string{
		"target_time": o.TargetTime, "target_xid": o.TargetXID, "target_lsn": o.TargetLSN, "target_name": o.TargetName, "target_action": o.TargetAction,
		"target_tli": o.TargetTimeline,
	} {
		if value != "" {
			given[name] = value
		}
	}
	if number, err := strconv.ParseUint(o.TargetTimeline, 10, 32); err == nil {
		given["target_tli"] = number
	}
	for name, set := range map[string]bool{"target_immediate": o.TargetImmediate, "exclusive": o.Exclusive, "standby_mode": o.StandbyMode} {
		if set {
			given[name] = true
		}
	}
	return given
}

// object renders an object as Python's json.dumps does, with its keys sorted;
// scripts may compare the text. One without members is empty text.
func object(members map[string]any) (string, error) {
	var parts []string
	for name, value := range members {
		var pair [2]string
		for i, half := range []any{name, value} {
			var text bytes.Buffer
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(half); err != nil {
				return "", err
			}
			pair[i] = ascii(strings.TrimSuffix(text.String(), "\n"))
		}
		parts = append(parts, pair[0]+": "+pair[1])
	}
	if len(parts) == 0 {
		return "", nil
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ", ") + "}", nil
}

// ascii escapes what is not printable ASCII in a JSON text.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x7f {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// AboutWAL are the values of events that are about a WAL file, which is at a path
// and has been recorded, or would be, like this.
func AboutWAL(path string, record catalogue.WALRecord) map[string]string {
	return map[string]string{
		"SEGMENT":     record.Name.String(),
		"FILE":        path,
		"SIZE":        strconv.FormatInt(record.Size, 10),
		"TIMESTAMP":   catalogue.Seconds(record.ModTime),
		"COMPRESSION": record.Compression,
	}
}
