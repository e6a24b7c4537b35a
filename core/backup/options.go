package backup

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/wal"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Options are the choices of one backup.
type Options struct {
	// Name is a name for people, kept in the catalogue; may be empty.
	Name string
	// Jobs overrides how many objects are under way at once; 0 leaves it to the
	// configuration.
	Jobs int
	// Source are settings of the source that hold for this backup.
	Source []Choice
	// RetryTimes overrides how many times a copy that failed is tried again, and
	// RetrySleep the pause before; nil leaves them to the configuration.
	RetryTimes *int
	RetrySleep *time.Duration
	// Wait holds the backup's lock, and its hooks back, until all WAL that the
	// backup needs is archived, or for WaitLimit if that is not 0.
	Wait      bool
	WaitLimit time.Duration
	// Progress is told how far the copy has come; may be nil.
	Progress func(pipeline.Progress)
	// Reached is told how far the backup has come; may be nil.
	Reached func(Step, *catalogue.Backup)
	// File is told of every WAL file that arrives meanwhile; may be nil.
	File func(wal.File)
}

// Step is a stretch of a backup's way.
type Step int

const (
	// Registered: the backup has its ID.
	Registered Step = iota
	// Copying: the copy begins.
	Copying
	// Copied: the copy is durable.
	Copied
	// Stored: the catalogue has it, and it waits for WAL.
	Stored
	// Waiting: Options.Wait is heeded now.
	Waiting
)

// Choice is a choice for one backup that is a setting of its source.
type Choice struct {
	// Option is what asked for it, as people know it: --bwlimit.
	Option string
	// Settings are those that may stand for it, of which the first that the source
	// has is set. The value nil takes the setting away.
	Settings []Setting
	// Optional makes it no error that the source has none of them.
	Optional bool
}

// Setting is a value for a setting.
type Setting struct {
	Name  string
	Value any
}

// chosen are the configured settings of a source with the choices for one backup.
type chosen struct {
	pipeline.Settings
	stage   pipeline.Stage
	choices []Choice
	ignored func(option string)
}

// Decode replaces the configured values.
func (c chosen) Decode(described schema.Schema) ([]byte, error) {
	decoded, err := c.Settings.Decode(described)
	if err != nil {
		return nil, err
	}
	values := map[string]json.RawMessage{}
	if err := json.Unmarshal(decoded, &values); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "settings of source %q: %w", c.stage.Name, err)
	}
	for _, choice := range c.choices {
		setting, found := choice.of(described)
		switch {
		case found && setting.Value == nil:
			delete(values, setting.Name)
		case found:
			if values[setting.Name], err = json.Marshal(setting.Value); err != nil {
				return nil, sdk.Errorf(sdk.Invalid, "%s: %w", choice.Option, err)
			}
		case choice.Optional:
			c.ignored(choice.Option)
		default:
			return nil, sdk.Errorf(sdk.Invalid, "%s is not for the source %q, which has no setting %s", choice.Option, c.stage.Name, choice.names())
		}
	}
	return json.Marshal(values)
}

// of returns the setting that a source has.
func (c Choice) of(described schema.Schema) (Setting, bool) {
	for _, s := range c.Settings {
		if _, has := described.Attribute(s.Name); has {
			return s, true
		}
	}
	return Setting{}, false
}

func (c Choice) names() string {
	var names []string
	for _, s := range c.Settings {
		names = append(names, s.Name)
	}
	return strings.Join(names, " or ")
}
