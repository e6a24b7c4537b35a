package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/barman-go/barman/sdk"
)

// packer emits the members that it is given: as objects, or in archives, of which
// several are on their way at once. Each worker takes the next member off the
// queue and puts it into its archive, until that is full.
//
// What must come last, and is not known before everything else was read, comes
// over another queue and goes into the last archive of the data directory.
type packer struct {
	emit    sdk.Emitter
	request sdk.BackupRequest
	listing *listing // nil for none

	queue, last chan *member

	mu      sync.Mutex
	begun   map[uint32]int // archives of each directory
	working int            // workers that may still take members off the queue
	open    *archive       // the newest archive of the data directory, while it is open
	taken   bool           // open takes what comes last
	drained chan struct{}  // closed when every member of the queue was read to its end
}

// queueLength is how far the walk may be ahead: files whose attributes are known
// cost little, and a slow store should not see a slow directory.
const queueLength = 256

func newPacker(emit sdk.Emitter, request sdk.BackupRequest, workers int, listing *listing) *packer {
	return &packer{
		emit: emit, request: request, listing: listing, working: workers, begun: map[uint32]int{},
		queue: make(chan *member, queueLength), last: make(chan *member), drained: make(chan struct{}),
	}
}

// workersFor is how many objects can be under way at once.
func workersFor(request sdk.BackupRequest) int {
	if request.Layout == sdk.LayoutTar && request.ArchiveSize == 0 {
		return 1 // one archive after the other
	}
	return max(1, request.Jobs)
}

func next(ctx context.Context, from <-chan *member) (*member, error) {
	select {
	case m := <-from:
		return m, nil // nil at the end
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// work is what each worker does until the queue is closed, and everything in it
// is emitted.
func (p *packer) work(ctx context.Context) error {
	if p.request.Layout != sdk.LayoutPlain {
		return p.archives(ctx, p.queue)
	}
	if err := p.objects(ctx, p.queue); err != nil {
		return err
	}
	p.drain()
	return nil
}

// archives puts members into one archive after the other.
func (p *packer) archives(ctx context.Context, from <-chan *member) error {
	begin, err := next(ctx, from)
	if err != nil {
		return err
	}
	if begin == nil {
		p.drain()
		return nil
	}
	for begin != nil {
		a := p.newArchive(ctx, begin, from)
		if err := p.archive(ctx, a); err != nil {
			return err
		}
		// Without a member left it has come to the end of where they come from.
		begin, from = a.left, a.from
	}
	return nil
}

// finish emits what comes last, if no worker does.
func (p *packer) finish(ctx context.Context) error {
	switch {
	case p.request.Layout == sdk.LayoutPlain:
		return p.objects(ctx, p.last)
	case p.taken:
		return nil
	}
	return p.archives(ctx, p.last)
}

// drain tells that a worker has found the queue empty. The newest archive of the
// data directory takes what comes last, if it is still open when all have.
func (p *packer) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.working--
	if p.working == 0 {
		p.taken = p.open != nil
		close(p.drained)
	}
}

// goesOn tells whether an archive takes what comes last.
func (p *packer) goesOn(a *archive) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken && p.open == a
}

// closed tells that an archive ends.
func (p *packer) closed(a *archive) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == a {
		p.open = nil
	}
}

func (p *packer) newArchive(ctx context.Context, begin *member, from <-chan *member) *archive {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &archive{ctx: ctx, packer: p, oid: begin.oid, left: begin, from: from, limit: p.request.ArchiveSize, number: p.begun[begin.oid]}
	p.begun[begin.oid]++
	if a.oid == 0 {
		p.open = a
	}
	return a
}

func (p *packer) archive(ctx context.Context, a *archive) error {
	stem := "base"
	if a.oid != 0 {
		stem = fmt.Sprint(a.oid)
	}
	if a.number > 0 {
		stem += fmt.Sprintf("_%04d", a.number)
	}
	err := p.emit.Emit(ctx, sdk.Object{Name: p.request.Prefix + "data/" + stem + ".tar", Kind: sdk.KindTar, Mode: 0o600, Size: sdk.SizeUnknown}, a)
	if a.err != nil {
		err = a.err // what the pipeline only handed back
	}
	if err == nil && !a.ended {
		err = fmt.Errorf("the pipeline did not take all of %s.tar", stem)
	}
	if err != nil {
		a.close()
	}
	return err
}

// objects emits each member by itself.
func (p *packer) objects(ctx context.Context, from <-chan *member) error {
	for {
		m, err := next(ctx, from)
		if err != nil || m == nil {
			return err
		}
		if m.name == "." {
			continue
		}
		if err := p.object(ctx, m); err != nil {
			return err
		}
	}
}

func (p *packer) object(ctx context.Context, m *member) error {
	name := p.request.Prefix + "data/" + m.name
	if m.oid != 0 {
		name = fmt.Sprintf("%s%d/%s", p.request.Prefix, m.oid, m.name)
	}
	present, err := m.open()
	if err != nil || !present {
		return err
	}
	if m.dir {
		return p.emit.Emit(ctx, sdk.Object{Name: name, Kind: sdk.KindDirectory, Mode: m.mode, ModTime: m.modified}, nil)
	}
	c := newContent(m, p.checksum())
	defer m.file.Close() // it was only read from
	if err := p.emit.Emit(ctx, sdk.Object{Name: name, Mode: m.mode, ModTime: m.modified, Size: m.size}, c); err != nil {
		return err
	}
	return p.list(c)
}
