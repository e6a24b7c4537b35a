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

// Find looks into the line's first sink. A backup that the sink does not have is
// an error of kind NotFound. One of which tar files are missing is an error of
// kind Corrupt, and comes along as far as it is there.
func Find(ctx context.Context, s *server.Server, line pipeline.Line, b *catalogue.Backup) (Form, error) {
	base := "base/" + string(b.ID) + "/"
	prefixes := []string{base + "data/base.tar", base + "data/" + ManifestName, base + "data/" + versionFile}
	for _, t := range b.Tablespaces {
		prefixes = append(prefixes, fmt.Sprintf("%sdata/%d.tar", base, t.OID))
	}
	found, err := s.Engine.Find(ctx, line.Server, line.Sinks[0], prefixes...)
	if err != nil {
		return Form{}, err
	}
	tar, plain := false, false
	var form Form
	for _, object := range found {
		name := path.Base(object.Name)
		switch stem, _, isTar := strings.Cut(name, ".tar"); {
		case name == versionFile, strings.HasPrefix(name, versionFile+"."):
			plain, form.Suffix = true, strings.TrimPrefix(name, versionFile)
		case stem == "base" && isTar:
			tar = true
			form.Selections = append(form.Selections, host.Selection{Name: object.Name, Rename: "base.tar", Tar: true})
		case isTar:
			form.Selections = append(form.Selections, host.Selection{Name: object.Name, Rename: "pg_tblspc/" + stem + "/" + stem + ".tar", Tar: true})
		case !plain:
			// A manifest is stored as it is.
			form.Selections = append(form.Selections, host.Selection{Name: object.Name, Rename: name, Verbatim: true})
		}
	}
	switch {
	case tar:
		form.Tar, form.Suffix = true, ""
		if want := len(b.Tablespaces) + 1; countTars(form.Selections) != want {
			return form, sdk.Errorf(sdk.Corrupt, "the store has %d of the %d tar files of backup %s", countTars(form.Selections), want, b.ID)
		}
		return form, nil
	case plain:
		form.Selections = []host.Selection{{Name: base + "data/", Prefix: true}}
		for _, t := range b.Tablespaces {
			form.Selections = append(form.Selections, host.Selection{Name: fmt.Sprintf("%s%d/", base, t.OID), Prefix: true, Rename: fmt.Sprintf("pg_tblspc/%d/", t.OID)})
		}
		return form, nil
	}
	return Form{}, sdk.Errorf(sdk.NotFound, "the store holds no data of backup %s: neither %sdata/%s nor %sdata/base.tar", b.ID, base, versionFile, base)
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
