package stored

import (
	"encoding/json"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/schema"
)

// Transforms are those to undo: the ones that the backup was made with, with
// today's settings where they are still configured. A backup of another
// program says only how it was compressed.
func (f Form) Transforms(s *server.Server, configured []pipeline.Stage, b *catalogue.Backup) ([]pipeline.Stage, error) {
	compressed := f.Tar && b.Compression != "" && b.Compression != catalogue.Uncompressed
	header, _, err := s.Catalogue.Receipts(b.ID)
	if err != nil && sdk.KindOf(err) != sdk.NotFound {
		return nil, err
	}
	var stages []pipeline.Stage
	for _, used := range header.Chain {
		switch {
		case used.Kind != "transform":
		case used.Name == Decompress.Name && !f.Tar:
			stages = append(stages, decompressFiles(configured, f.Suffix))
		default:
			stages = append(stages, configuredOr(configured, used.Name))
		}
	}
	if len(stages) == 0 && compressed {
		return []pipeline.Stage{Decompress}, nil
	}
	return stages, nil
}

// Decompress undoes compression: it recognises what it reads, whatever made it.
var Decompress = pipeline.Stage{Kind: "transform", Name: server.Compressor, Settings: pipeline.Values{}}

// decompressFiles also takes the suffix that the codec of the backup added off
// the names of files, whichever is configured today. A command of the user's is
// what is configured for it today.
func decompressFiles(configured []pipeline.Stage, suffix string) pipeline.Stage {
	used := "none"
	for part := range strings.SplitSeq(suffix, ".") {
		if name := codec.OfSuffix("." + part); name != "" {
			used = name
		}
	}
	stage := Decompress
	stage.Settings = pipeline.Values{"codec": used}
	if used == codec.Custom {
		stage.Settings = asCustom{configuredOr(configured, Decompress.Name).Settings}
	}
	return stage
}

// asCustom are settings of the transform compress with the codec custom, to
// read with.
type asCustom struct{ pipeline.Settings }

// Decode replaces the codec, and puts a command that fails where there is none to
// compress with any more.
func (a asCustom) Decode(described schema.Schema) ([]byte, error) {
	encoded, err := a.Settings.Decode(described)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	if err := json.Unmarshal(encoded, &values); err != nil {
		return nil, err
	}
	values["codec"] = codec.Custom
	if text, _ := values["filter"].(string); text == "" {
		values["filter"] = "false"
	}
	return json.Marshal(values)
}

func configuredOr(configured []pipeline.Stage, name string) pipeline.Stage {
	for _, s := range configured {
		if s.Name == name {
			return s
		}
	}
	return pipeline.Stage{Kind: "transform", Name: name, Settings: pipeline.Values{}}
}
