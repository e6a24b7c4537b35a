package pipeline

import (
	"context"
	"strings"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// Lands tells whether the source can fill a directory of the store itself: it
// knows how to, and there is nothing between it and the only sink, which grants
// one.
func (b *Backup) Lands() bool {
	return len(b.nodes) == 2 && b.nodes[0].landing && b.nodes[1].absent == nil && b.nodes[1].landing
}

// Reference is an earlier backup whose files a source may link to.
type Reference struct {
	// Prefix is what its names begin with; empty for no backup.
	Prefix string
	// Begin is when it began.
	Begin time.Time
}

// Land is Run for a line that Lands: the source fills a directory of the sink,
// which makes it durable. There are no receipts.
func (b *Backup) Land(ctx context.Context, request sdk.BackupRequest, reference Reference, observe Observer) (sdk.BackupResult, sdk.Sealed, error) {
	source, sink := b.nodes[0], b.nodes[1]
	name := strings.TrimSuffix(request.Prefix, "/")
	landing, err := sink.plugin.Land(ctx, name, strings.TrimSuffix(reference.Prefix, "/"))
	if err != nil {
		return sdk.BackupResult{}, sdk.Sealed{}, interrupted(ctx, &Failure{Stage: sink.label(), Err: err})
	}
	landing.Horizon = reference.Begin
	request.Landing, request.Jobs = &landing, b.line.lanes()
	source.operation, source.lanes = host.Backup(request), host.Lanes{}
	var result sdk.BackupResult
	source.events = host.Events{Progress: observe.progress, Backup: func(r sdk.BackupResult) { result = r }}
	r, _ := b.engine.begin(ctx, b.nodes[:1])
	if err := interrupted(ctx, r.wait()); err != nil {
		return result, sdk.Sealed{}, err
	}
	sealed, err := sink.plugin.Seal(ctx, name)
	if err != nil {
		return result, sealed, interrupted(ctx, &Failure{Stage: sink.label(), Err: err})
	}
	return result, sealed, nil
}
