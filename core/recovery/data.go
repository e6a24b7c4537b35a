package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/host"
	"github.com/barman-go/barman/sdk/schema"
)

// restoreData unpacks the backup into the destination.
func (r *run) restoreData(ctx context.Context) error {
	selections, stored, err := r.selections(ctx)
	if err != nil {
		return err
	}
	line := r.line
	if line.Transforms, err = r.transforms(line.Transforms, stored); err != nil {
		return err
	}
	observe := pipeline.Observer{Progress: r.request.Progress}
	known, err := r.receipts(selections)
	if err != nil {
		return err
	}
	if known != nil {
		observe.Receipts = known.check
	}
	if err := r.server.Engine.Restore(ctx, line, selections, target(r.request.Destination, r.mounts), observe); err != nil {
		return err
	}
	if known != nil {
		if err := known.finish(); err != nil {
			return err
		}
	}
	// PostgreSQL would make the tablespaces' links anew from this file, to where
	// they were on the original server.
	return durable.Remove(filepath.Join(r.request.Destination, "tablespace_map"))
}

// target is the sink that restores into a directory.
func target(directory string, mounts map[string]string) pipeline.Stage {
	values := pipeline.Values{"path": directory, "unpack": true}
	if len(mounts) > 0 {
		values["mounts"] = mounts
	}
	return pipeline.Stage{Kind: "sink", Name: "posix", Settings: values}
}

// form is how the store holds a backup.
type form struct {
	tar bool
	// suffix is what transforms added to the names of files.
	suffix string
}

// versionFile is in every data directory, and tells plain files from tar files.
const versionFile = "PG_VERSION"

// selections finds out in which form the backup is stored, and names what to
// read of it. The form is what the store holds, whatever the configuration says
// today.
func (r *run) selections(ctx context.Context) (selections []host.Selection, stored form, err error) {
	b := r.request.Backup
	base := "base/" + string(b.ID) + "/"
	prefixes := []string{base + "data/base.tar", base + "data/backup_manifest", base + "data/" + versionFile}
	for _, t := range b.Tablespaces {
		prefixes = append(prefixes, fmt.Sprintf("%sdata/%d.tar", base, t.OID))
	}
	found, err := r.server.Engine.Find(ctx, r.line.Server, r.line.Sinks[0], prefixes...)
	if err != nil {
		return nil, form{}, err
	}
	tar, plain := false, false
	for _, object := range found {
		name := path.Base(object.Name)
		switch stem, _, isTar := strings.Cut(name, ".tar"); {
		case name == versionFile, strings.HasPrefix(name, versionFile+"."):
			plain, stored.suffix = true, strings.TrimPrefix(name, versionFile)
		case stem == "base" && isTar:
			tar = true
			selections = append(selections, host.Selection{Name: object.Name, Rename: "base.tar", Tar: true})
		case isTar:
			selections = append(selections, host.Selection{Name: object.Name, Rename: "pg_tblspc/" + stem + "/" + stem + ".tar", Tar: true})
		case !plain:
			// A manifest is stored as it is.
			selections = append(selections, host.Selection{Name: object.Name, Rename: name, Verbatim: true})
		}
	}
	switch {
	case tar:
		if want := len(b.Tablespaces) + 1; countTars(selections) != want {
			return nil, form{}, sdk.Errorf(sdk.Corrupt, "the store has %d of the %d tar files of backup %s", countTars(selections), want, b.ID)
		}
		return selections, form{tar: true}, nil
	case plain:
		selections = []host.Selection{{Name: base + "data/", Prefix: true}}
		for _, t := range b.Tablespaces {
			selections = append(selections, host.Selection{Name: fmt.Sprintf("%s%d/", base, t.OID), Prefix: true, Rename: fmt.Sprintf("pg_tblspc/%d/", t.OID)})
		}
		return selections, stored, nil
	}
	return nil, form{}, sdk.Errorf(sdk.NotFound, "the store holds no data of backup %s: neither %sdata/%s nor %sdata/base.tar", b.ID, base, versionFile, base)
}

func countTars(selections []host.Selection) int {
	n := 0
	for _, s := range selections {
		if s.Tar {
			n++
		}
	}
	return n
}

// transforms are those to undo: the ones that the backup was made with, with
// today's settings where they are still configured. A backup of another
// program says only how it was compressed.
func (r *run) transforms(configured []pipeline.Stage, stored form) ([]pipeline.Stage, error) {
	compressed := stored.tar && r.request.Backup.Compression != ""
	header, _, err := r.server.Catalogue.Receipts(r.request.Backup.ID)
	if err != nil && sdk.KindOf(err) != sdk.NotFound {
		return nil, err
	}
	var stages []pipeline.Stage
	for _, used := range header.Chain {
		switch {
		case used.Kind != "transform":
		case used.Name == decompress.Name && !stored.tar:
			stages = append(stages, decompressFiles(configured, stored.suffix))
		default:
			stages = append(stages, configuredOr(configured, used.Name))
		}
	}
	if len(stages) == 0 && compressed {
		return []pipeline.Stage{decompress}, nil
	}
	return stages, nil
}

// decompress recognises what it reads, whatever made it.
var decompress = pipeline.Stage{Kind: "transform", Name: "compress", Settings: pipeline.Values{}}

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
	stage := decompress
	stage.Settings = pipeline.Values{"codec": used}
	if used == codec.Custom {
		stage.Settings = asCustom{configuredOr(configured, decompress.Name).Settings}
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
