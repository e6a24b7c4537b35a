package pipeline

import (
	"encoding/json"
	"errors"

	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

// Settings are what a stage is configured with, once its schema is known.
type Settings interface {
	// Decode checks the settings against the plugin's schema and returns the
	// JSON object for the plugin.
	Decode(schema.Schema) ([]byte, error)
	// Diagnose turns what the plugin has against its settings into an error that
	// says where they were written.
	Diagnose(schema.Diagnostics) error
}

// Values are settings that the core makes itself.
type Values map[string]any

// Decode renders the values; the plugin checks them.
func (v Values) Decode(schema.Schema) ([]byte, error) { return json.Marshal(map[string]any(v)) }

// Diagnose returns the diagnostics as they are.
func (v Values) Diagnose(d schema.Diagnostics) error { return sdk.Errorf(sdk.Invalid, "%w", d.Err()) }

// Stage is a stage of a pipeline.
type Stage struct {
	// Kind and Name find the plugin.
	Kind, Name string
	// Settings configure it.
	Settings Settings
	// Optional tells, of a sink, that the pipeline goes on without it.
	Optional bool
}

func (s Stage) label() string { return stage.Label(s.Kind, s.Name) }

// Line is a pipeline: one source, transforms in the order of the way to the
// store, one or more sinks.
type Line struct {
	// Server is told to every stage.
	Server sdk.Server
	// Source is left out where the core itself emits or absorbs.
	Source Stage
	// Transforms are applied in this order on the way to the sinks, and in the
	// opposite order on the way back.
	Transforms []Stage
	// Sinks all get every object.
	Sinks []Stage
	// Lanes is how many objects travel side by side; at least 1.
	Lanes int
}

func (l Line) lanes() int { return max(l.Lanes, 1) }

// Progress is how far a pipeline has come.
type Progress struct {
	// Objects and Bytes have left the emitter.
	Objects, Bytes int64
	// Expected is how many bytes there are in all, as far as is known; else 0.
	Expected int64
}

// Failure is the error of a pipeline: the stage that was its cause, and why.
type Failure struct {
	// Stage is the stage as people name it: sink "s3".
	Stage string
	Err   error
}

// Error names the stage and the reason.
func (f *Failure) Error() string { return f.Stage + ": " + f.Err.Error() }

// Unwrap returns the reason.
func (f *Failure) Unwrap() error { return f.Err }

// Of tells whether a stage was the cause.
func (f *Failure) Of(s Stage) bool { return f.Stage == s.label() }

// Lost is an optional sink that failed while the pipeline went on.
type Lost struct {
	// Sink is its number in the line.
	Sink int
	// Reason is the text of its error.
	Reason string
}

// isEcho tells whether an error only says that another stage failed.
func isEcho(err error) bool {
	kind := sdk.KindOf(err)
	return kind == sdk.Disconnected || kind == sdk.Cancelled
}

// cause picks from the errors of a pipeline, in the order in which they came,
// the one to report: the first that is no echo.
func cause(failures []*Failure) error {
	if len(failures) == 0 {
		return nil
	}
	for _, wanted := range []func(*Failure) bool{
		func(f *Failure) bool { return !isEcho(f.Err) },
		func(f *Failure) bool { return sdk.KindOf(f.Err) == sdk.Cancelled && !errors.Is(f.Err, errStopped) },
	} {
		for _, f := range failures {
			if wanted(f) {
				return f
			}
		}
	}
	return failures[0]
}

// errStopped is why the stages of a pipeline are cancelled when one failed.
var errStopped = errors.New("another stage failed")
