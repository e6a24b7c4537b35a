package catalogue

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// A sink that is not where the catalogue is may fall behind it: an optional one
// was away, or a process was killed before it had told the sink. What is not
// known to be right there is noted in a file, one for each sink and backup, and
// one for each sink's WAL: sinks/<sink>/<backup id> and sinks/<sink>/wals. It is
// made before a sink can fall behind. When the sink has caught up, that of its WAL
// is removed, and that of a backup says that the sink has all of it.

// Lacking is what a sink may lack.
type Lacking string

const (
	// lacksNothing: the sink has the backup.
	lacksNothing Lacking = "nothing"
	// LacksData: some of a backup's data, or all.
	LacksData Lacking = "data"
	// LacksWord: the newest description of a backup. Its data is complete.
	LacksWord Lacking = "description"
	// LacksDeletion: a backup was deleted, and is there still.
	LacksDeletion Lacking = "deletion"
	// LacksWAL: some WAL.
	LacksWAL Lacking = "WAL"
)

// Lag is something in which a sink may be behind the catalogue.
type Lag struct {
	// Sink is the sink's label in its pipeline.
	Sink string `json:"-"`
	// Backup is empty for WAL.
	Backup BackupID `json:"-"`
	// Lacks is what the sink may lack.
	Lacks Lacking `json:"lacks"`
	// Since is when that was noted.
	Since time.Time `json:"since"`
	// Reason is why, for people.
	Reason string `json:"reason"`
}

const (
	lagsName    = "sinks"
	walLagName  = "wals"
	maxLagSize  = 64 << 10
	maxLagCause = 4096
)

// NoteLag makes it durable that a sink may be behind, in place of what was noted
// of the same.
func (s *Server) NoteLag(l Lag) error {
	path, err := s.lagPath(l.Sink, l.Backup)
	if err != nil {
		return err
	}
	l.Reason = l.Reason[:min(len(l.Reason), maxLagCause)]
	content, err := json.Marshal(l)
	if err == nil {
		err = durable.MakeDirectory(filepath.Dir(path))
	}
	if err == nil {
		err = durable.WriteFile(path, append(content, '\n'), fileMode)
	}
	if err != nil {
		return s.errorf(kindOf(err), "note what sink %s lacks: %w", l.Sink, err)
	}
	return nil
}

// NoteHeld makes it durable that a sink has all of a backup.
func (s *Server) NoteHeld(sink string, id BackupID) error {
	return s.NoteLag(Lag{Sink: sink, Backup: id, Lacks: lacksNothing, Since: time.Now().UTC()})
}

// Held tells whether a sink is known to have all data of a backup.
func (s *Server) Held(sink string, id BackupID) (bool, error) {
	l, err := s.noteOf(sink, id)
	return l != nil && (l.Lacks == lacksNothing || l.Lacks == LacksWord), err
}

// LagOf returns what a sink may lack of a backup, or of the WAL for an empty ID;
// nil when nothing is known to be amiss.
func (s *Server) LagOf(sink string, id BackupID) (*Lag, error) {
	l, err := s.noteOf(sink, id)
	if l != nil && l.Lacks == lacksNothing {
		return nil, nil
	}
	return l, err
}

func (s *Server) noteOf(sink string, id BackupID) (*Lag, error) {
	path, err := s.lagPath(sink, id)
	if err != nil {
		return nil, err
	}
	content, err := readFile(path, maxLagSize)
	if kindOf(err) == sdk.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, s.errorf(kindOf(err), "what sink %s lacks: %w", sink, err)
	}
	l := Lag{}
	if err := json.Unmarshal(content, &l); err != nil || l.Lacks == "" {
		// Nobody deletes for a note that cannot be read.
		l = Lag{Lacks: LacksData, Reason: "the note of what it lacks cannot be read"}
		if id == "" {
			l.Lacks = LacksWAL
		}
	}
	l.Sink, l.Backup = sink, id
	return &l, nil
}

// Lags returns all that is noted, in the order of sinks and backups, WAL last.
func (s *Server) Lags() ([]Lag, error) {
	directory := filepath.Join(s.layout.BackupDirectory, lagsName)
	sinks, err := readNames(directory)
	if err != nil {
		return nil, s.wrap(err)
	}
	var all []Lag
	for _, sink := range sinks {
		names, err := readNames(filepath.Join(directory, sink))
		if err != nil {
			return nil, s.wrap(err)
		}
		for _, name := range names {
			id := BackupID(name)
			switch {
			case name == walLagName:
				id = ""
			case !id.Valid():
				continue
			}
			l, err := s.LagOf(sink, id)
			if err != nil {
				return nil, err
			}
			if l != nil {
				all = append(all, *l)
			}
		}
	}
	return all, nil
}

// LagsOf returns what sinks may lack of a backup.
func (s *Server) LagsOf(id BackupID) ([]Lag, error) {
	all, err := s.Lags()
	return slices.DeleteFunc(all, func(l Lag) bool { return l.Backup != id }), err
}

// ClearLag removes what is noted of a sink and a backup, that is nowhere any more,
// or, for an empty ID, of the sink's WAL.
func (s *Server) ClearLag(sink string, id BackupID) error {
	path, err := s.lagPath(sink, id)
	if err != nil {
		return err
	}
	found, err := exists(path)
	if err == nil && found {
		err = durable.Remove(path)
	}
	return s.wrapped(err)
}

func (s *Server) lagPath(sink string, id BackupID) (string, error) {
	name := string(id)
	if id == "" {
		name = walLagName
	} else if !id.Valid() {
		return "", s.errorf(sdk.Invalid, "%q is not the ID of a backup", clip(name))
	}
	return filepath.Join(s.layout.BackupDirectory, lagsName, filepath.Base(sink), name), nil
}
