// Command source-generated is the source "generated" of base backups for tests: it
// emits objects of bytes that only depend on the object's name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
	"github.com/barman-go/barman/sdk/serve"
)

type config struct {
	Objects   int    `hcl:"objects,optional" doc:"How many objects." default:"3"`
	Size      int    `hcl:"size,optional" doc:"Bytes of each." default:"100000"`
	Endless   bool   `hcl:"endless,optional" doc:"The last object never ends: after some megabytes nothing more comes of it."`
	WaitFor   string `hcl:"wait_for,optional" doc:"A file that must exist before the last object begins."`
	Complaint string `hcl:"complaint,optional" doc:"An error that comes after all objects."`
	FailsOnce string `hcl:"fails_once,optional" doc:"A file: if it is there, it is removed, and one object fewer comes before an error."`
	Refused   string `hcl:"refused,optional" doc:"A value that is refused."`
	SystemID  string `hcl:"system_id,optional" doc:"Of the cluster." default:"7000000000000000001"`
}

func (c *config) Validate() schema.Diagnostics {
	if c.Refused == "" {
		return nil
	}
	return schema.Diagnostics{{Path: "refused", Summary: "Refused value", Detail: fmt.Sprintf("%q is refused.", c.Refused)}}
}

func main() {
	serve.BackupSource(sdk.Info{Name: "generated", Doc: "Generates objects."},
		func(_ context.Context, _ sdk.Server, c *config) (sdk.BackupSource, error) { return source{*c}, nil })
}

type source struct{ config }

func (s source) Backup(ctx context.Context, r sdk.BackupRequest, emit sdk.Emitter) (sdk.BackupResult, error) {
	if s.FailsOnce != "" && os.Remove(s.FailsOnce) == nil {
		s.Objects, s.Complaint = s.Objects-1, "it fails once"
	}
	emit.Expect(int64(s.Objects) * int64(s.Size))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(r.Jobs, 1))
	for i := range s.Objects {
		group.Go(func() error {
			o := sdk.Object{Name: fmt.Sprintf("%sdata/object-%04d", r.Prefix, i), Mode: 0o600, Size: int64(s.Size)}
			if i == s.Objects-1 {
				if err := s.wait(ctx); err != nil {
					return err
				}
			}
			var content io.Reader = io.LimitReader(Bytes(o.Name), o.Size)
			if s.Endless && i == s.Objects-1 {
				o.Size, content = sdk.SizeUnknown, io.MultiReader(io.LimitReader(Bytes(o.Name), held), waiting{ctx})
			}
			return emit.Emit(ctx, o, content)
		})
	}
	if err := group.Wait(); err != nil {
		return sdk.BackupResult{}, err
	}
	if s.Complaint != "" {
		return sdk.BackupResult{}, errors.New(s.Complaint)
	}
	return sdk.BackupResult{SystemID: s.SystemID, Timeline: 1, BeginLSN: 0x2000028, EndLSN: 0x2000100, EndTime: time.Unix(1700000000, 0), Label: r.Label}, nil
}

// wait waits for the file.
func (s source) wait(ctx context.Context) error {
	for s.WaitFor != "" {
		if _, err := os.Stat(s.WaitFor); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// held is how much comes of an endless object. It is bounded so that a test that
// goes wrong fills no disk.
const held = 16 << 20

// waiting is a reader of which nothing comes until its context ends.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// Bytes are an object's.
func Bytes(name string) io.Reader {
	var seed [32]byte
	copy(seed[:], name[max(0, len(name)-32):])
	return rand.NewChaCha8(seed)
}
