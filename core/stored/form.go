package stored

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/core/server"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Form is how a store holds a backup.
type Form struct {
	// Tar tells tar files from a file for each file of the data directory.
	Tar bool
	// Suffix is what transforms added to the names of those files.
	Suffix string
	// Selections name all there is of the backup, and the names below the data
	// directory that it has on its way: archives are called base.tar and
	// pg_tblspc/16400/16400.tar.
	Selections []host.Selection
}

// versionFile is in every data directory, and tells plain files from tar files.
const versionFile = "PG_VERSION"

// ManifestName is that of a backup's manifest, in its data directory.
const ManifestName = "backup_manifest"

// Locate finds a sink that has a backup, the first before the others, and returns
// the line with that one alone. One that is known to lack data is passed over, and
// so is one in which something is amiss, which is logged. When there is none, the
// error and what comes along are those of Find for the first that was looked into.
func Locate(ctx context.Context, s *server.Server, line pipeline.Line, b *catalogue.Backup) (pipeline.Line, Form, error) {
	var first Form
	var failed error
	from := line
	for _, sink := range s.BackupSinks() {
		lacks, err := s.Catalogue.LagOf(sink.Label, b.ID)
		if err != nil {
			return line, Form{}, err
		}
		if lacks != nil && lacks.Lacks != catalogue.LacksWord {
			continue
		}
		only := line
		only.Sinks = []pipeline.Stage{sink.Stage}
		form, err := Find(ctx, s, only, b)
		if err == nil || ctx.Err() != nil {
			return only, form, err
		}
		if failed == nil {
			from, first, failed = only, form, err
		}
		s.Logger.Warn("a sink cannot give a backup", "backup", b.ID, "sink", sink.Label, "error", err)
	}
	if failed == nil {
		failed = sdk.Errorf(sdk.NotFound, "no sink has all data of backup %s: 'barman show-backup %s %s' tells what they lack", b.ID, s.Name(), b.ID)
	}
	return from, first, failed
}

// Find looks into the line's first sink. A backup that the sink does not have is
// an error of kind NotFound. One of which tar files are missing is an error of
// kind Corrupt, and comes along as far as it is there.
func Find(ctx context.Context, s *server.Server, line pipeline.Line, b *catalogue.Backup) (Form, error) {
	base := catalogue.BackupPrefix(b.ID)
	// An archive that was split is base.tar, base_0001.tar and so on.
	prefixes := []string{base + "data/base.tar", base + "data/base_", base + "data/" + ManifestName, base + "data/" + versionFile}
	for _, t := range b.Tablespaces {
		prefixes = append(prefixes, fmt.Sprintf("%sdata/%d.tar", base, t.OID), fmt.Sprintf("%sdata/%d_", base, t.OID))
	}
	found, err := s.Engine.Find(ctx, line.Server, line.Sinks[0], prefixes...)
	if err != nil {
		return Form{}, err
	}
	form, err := Arrange(found, b)
	if err == nil && form.Tar {
		err = undiminished(s, b, form.Selections)
	}
	return form, err
}

// Arrange makes out the form of a backup from the objects that a sink has of its
// data. Errors are those of Find.
func Arrange(found []sdk.Object, b *catalogue.Backup) (Form, error) {
	base := catalogue.BackupPrefix(b.ID)
	plain := false
	var form Form
	var a archives
	for _, object := range found {
		name := path.Base(object.Name)
		stem, suffix, isTar := strings.Cut(name, ".tar")
		series, number, known := seriesOf(stem)
		switch {
		case name == versionFile, strings.HasPrefix(name, versionFile+"."):
			plain, form.Suffix = true, strings.TrimPrefix(name, versionFile)
		case isTar && known:
			a.add(series, number)
			rename := stem + ".tar"
			if series != baseSeries {
				rename = "pg_tblspc/" + series + "/" + rename
			}
			form.Selections = append(form.Selections, host.Selection{Name: object.Name, Rename: rename, Tar: true})
		case suffix == "" && !plain && strings.HasPrefix(name, ManifestName):
			// A manifest is stored as it is.
			form.Selections = append(form.Selections, host.Selection{Name: object.Name, Rename: name, Verbatim: true})
		}
	}
	switch {
	case a.has(baseSeries):
		form.Tar, form.Suffix = true, ""
		return form, a.complete(b, form.Selections)
	case plain:
		form.Selections = []host.Selection{{Name: base + "data/", Prefix: true}}
		for _, t := range b.Tablespaces {
			form.Selections = append(form.Selections, host.Selection{Name: fmt.Sprintf("%s%d/", base, t.OID), Prefix: true, Rename: fmt.Sprintf("pg_tblspc/%d/", t.OID)})
		}
		return form, nil
	}
	return Form{}, sdk.Errorf(sdk.NotFound, "the store holds no data of backup %s: neither %sdata/%s nor %sdata/base.tar", b.ID, base, versionFile, base)
}
