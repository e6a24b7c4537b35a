package bench

import (
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/stage"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/pgtest"
)

// firstByte is how long a pipeline of three plugins takes from its start until
// the sink has made the first byte durable.
func (s *site) firstByte() time.Duration {
	directory, err := stage.NewRunDirectory()
	if err != nil {
		s.Fatal(err)
	}
	defer func() {
		if err := directory.Close(); err != nil {
			s.Error(err)
		}
	}()
	launcher := stage.Launcher{
		Finder: stage.Finder{
			Directories: []string{pgtest.BarmanBin(s.B)},
			Declared:    []stage.Plugin{{Kind: "transform", Name: "noop", Path: s.noop}},
		},
		RunDirectory: directory.Path, Logger: hclog.NewNullLogger(),
	}
	engine := pipeline.New(launcher, directory.Path, hclog.NewNullLogger())
	samples := compare(s.B, contender{name: "first byte", run: func() sample {
		line := pipeline.Line{
			Transforms: []pipeline.Stage{
				{Kind: "transform", Name: "noop", Settings: pipeline.Values{}},
				{Kind: "transform", Name: "compress", Settings: pipeline.Values{"codec": "zstd"}},
			},
			Sinks: []pipeline.Stage{{Kind: "sink", Name: "posix", Settings: pipeline.Values{"path": s.place("first")}}},
		}
		begun := time.Now()
		w, err := engine.OpenWriter(s.Context(), line, pipeline.Observer{})
		if err != nil {
			s.Fatal(err)
		}
		if _, err := w.Put(s.Context(), sdk.Object{Name: "first", Size: 1}, strings.NewReader("x")); err != nil {
			s.Fatal(err)
		}
		took := sample{wall: time.Since(begun)}
		if err := w.Close(); err != nil {
			s.Fatal(err)
		}
		return took
	}})[0]
	return time.Duration(wall(samples) * float64(time.Second))
}
