// Command broken is every plugin that the conformance suite must find fault
// with: which one it is says the name that it is started by.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/backup-cuts-archives"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/backup-ignores-cancellation"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/backup-never-splits"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/backup-swallows-errors"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/hook-ignores-cancellation"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/hook-never-vetoes"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-acknowledges-early"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-delete-missing"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-deletes-one"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-deletes-too-much"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-drops-bytes"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-flattens"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-half-visible"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-hoards"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-ignores-cancellation"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-late-not-found"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-leaks"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-leaves-leftovers"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-lists-directories"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-never-replaces"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-overwrites"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-seals-blindly"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-swallows-errors"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-unkind"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/sink-unsorted"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-chatty"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-drops-bytes"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-hoards"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-ignores-cancellation"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-leaks"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-not-inverse"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-panics"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-serial"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/transform-swallows-truncation"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/wal-cancellation-fails"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/wal-reports-early"
	"github.com/barman-go/barman/sdk/sdktest/testdata/broken/wal-starts-over"
)

var plugins = map[string]func(){
	"backup-cuts-archives":           backupcutsarchives.Serve,
	"backup-ignores-cancellation":    backupignorescancellation.Serve,
	"backup-never-splits":            backupneversplits.Serve,
	"backup-swallows-errors":         backupswallowserrors.Serve,
	"hook-ignores-cancellation":      hookignorescancellation.Serve,
	"hook-never-vetoes":              hooknevervetoes.Serve,
	"sink-acknowledges-early":        sinkacknowledgesearly.Serve,
	"sink-delete-missing":            sinkdeletemissing.Serve,
	"sink-deletes-one":               sinkdeletesone.Serve,
	"sink-deletes-too-much":          sinkdeletestoomuch.Serve,
	"sink-drops-bytes":               sinkdropsbytes.Serve,
	"sink-flattens":                  sinkflattens.Serve,
	"sink-half-visible":              sinkhalfvisible.Serve,
	"sink-hoards":                    sinkhoards.Serve,
	"sink-ignores-cancellation":      sinkignorescancellation.Serve,
	"sink-late-not-found":            sinklatenotfound.Serve,
	"sink-leaks":                     sinkleaks.Serve,
	"sink-leaves-leftovers":          sinkleavesleftovers.Serve,
	"sink-lists-directories":         sinklistsdirectories.Serve,
	"sink-never-replaces":            sinkneverreplaces.Serve,
	"sink-overwrites":                sinkoverwrites.Serve,
	"sink-seals-blindly":             sinksealsblindly.Serve,
	"sink-swallows-errors":           sinkswallowserrors.Serve,
	"sink-unkind":                    sinkunkind.Serve,
	"sink-unsorted":                  sinkunsorted.Serve,
	"transform-chatty":               transformchatty.Serve,
	"transform-drops-bytes":          transformdropsbytes.Serve,
	"transform-hoards":               transformhoards.Serve,
	"transform-ignores-cancellation": transformignorescancellation.Serve,
	"transform-leaks":                transformleaks.Serve,
	"transform-not-inverse":          transformnotinverse.Serve,
	"transform-panics":               transformpanics.Serve,
	"transform-serial":               transformserial.Serve,
	"transform-swallows-truncation":  transformswallowstruncation.Serve,
	"wal-cancellation-fails":         walcancellationfails.Serve,
	"wal-reports-early":              walreportsearly.Serve,
	"wal-starts-over":                walstartsover.Serve,
}

func main() {
	serve, known := plugins[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintf(os.Stderr, "%s is the name of no broken plugin\n", os.Args[0])
		os.Exit(1)
	}
	serve()
}
