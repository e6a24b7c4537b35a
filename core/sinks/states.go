package sinks

import (
	"fmt"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/server"
)

// State is what is known of a backup in a sink.
type State struct {
	Sink string `json:"sink"`
	// Complete tells that the sink has all of the backup's data.
	Complete bool `json:"complete"`
	// Lacks is what it is known to lack; empty for nothing.
	Lacks catalogue.Lacking `json:"lacks,omitempty"`
	// Reason is why.
	Reason string `json:"reason,omitempty"`
}

// States tells, without asking the sinks, which of them have a backup. A server
// whose only sink is its own directory has none to tell of.
func States(s *server.Server, b *catalogue.Backup) ([]State, error) {
	all := s.BackupSinks()
	if len(all) == 1 && all[0].Home {
		return nil, nil
	}
	var states []State
	for _, sink := range all {
		state := State{Sink: sink.Label}
		noted, err := s.Catalogue.LagOf(sink.Label, b.ID)
		switch {
		case err != nil:
			return nil, err
		case noted != nil:
			state.Lacks, state.Reason, state.Complete = noted.Lacks, noted.Reason, noted.Lacks == catalogue.LacksWord
		case sink.Home:
			state.Complete, err = s.Catalogue.HasPayload(b)
		default:
			state.Complete, err = s.Catalogue.Held(sink.Label, b.ID)
		}
		if err != nil {
			return nil, err
		}
		if !state.Complete && state.Lacks == "" {
			state.Lacks = catalogue.LacksData
			state.Reason = fmt.Sprintf("it is not known to have it; 'barman sync-sink %s' finds out, and copies it there", s.Name())
		}
		states = append(states, state)
	}
	return states, nil
}

// String is the state in words.
func (s State) String() string {
	switch {
	case s.Complete && s.Lacks == "":
		return "complete"
	case s.Complete:
		return "complete, but for the newest description: " + s.Reason
	}
	return "lacks data: " + strings.ReplaceAll(s.Reason, "\n", "; ")
}

// passing is how long something that is noted may be under way.
const passing = 5 * time.Minute

// Behind tells in a sentence what sinks have lacked for so long that it is not under
// way; empty for nothing.
func Behind(s *server.Server, now time.Time) (string, error) {
	lags, err := s.Catalogue.Lags()
	if err != nil {
		return "", err
	}
	backups, wal, why := map[string]int{}, map[string]bool{}, map[string]string{}
	for _, l := range lags {
		sinks := s.BackupSinks()
		if l.Backup == "" {
			sinks = s.WALSinks()
		}
		if _, configured := find(sinks, l.Sink); !configured {
			continue
		}
		switch {
		case l.Backup == "":
			wal[l.Sink] = true
		case l.Lacks == catalogue.LacksData && !underWay(s, l.Backup), now.Sub(l.Since) > passing:
			backups[l.Sink]++
		default:
			continue
		}
		why[l.Sink] = l.Reason
	}
	var texts []string
	for _, label := range Labels(s) {
		var lacks []string
		if n := backups[label]; n > 0 {
			lacks = append(lacks, plural(n, "backup"))
		}
		if wal[label] {
			lacks = append(lacks, "WAL")
		}
		if len(lacks) > 0 {
			texts = append(texts, fmt.Sprintf("%s is behind with %s: %s", label, strings.Join(lacks, " and "), strings.ReplaceAll(why[label], "\n", "; ")))
		}
	}
	return strings.Join(texts, "; "), nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func underWay(s *server.Server, id catalogue.BackupID) bool {
	b, err := s.Catalogue.Get(id)
	return err == nil && b.State.Unfinished()
}
