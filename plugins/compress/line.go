package main

import (
	"context"
	"io"
	"sync/atomic"
)

// line carries the chunks of one object: they are filled by the caller, worked
// on by any worker, and written to dst in the order in which they were filled.
type line struct {
	shop *shop
	ctx  context.Context
	stop context.CancelCauseFunc
	dst  io.Writer

	queue    chan *slot
	written  chan struct{}
	held     atomic.Int32
	returned chan struct{}
}

func (p *shop) line(ctx context.Context, dst io.Writer) *line {
	ctx, stop := context.WithCancelCause(ctx)
	return &line{shop: p, ctx: ctx, stop: stop, dst: dst, returned: make(chan struct{}, 1)}
}

// slot waits for a free slot. It fails when the line is broken.
//
// A line that holds no slot gets an extra one rather than wait for another
// line, whose destination may be waiting for this one: lines never block each
// other, and memory is bounded by the fixed slots and one for each line.
func (l *line) slot() (*slot, error) {
	for {
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		select {
		case s := <-l.shop.slots:
			l.held.Add(1)
			return s.prepare(), nil
		default:
		}
		if l.held.Load() == 0 {
			l.held.Add(1)
			return l.shop.extra(), nil
		}
		select {
		case s := <-l.shop.slots:
			l.held.Add(1)
			return s.prepare(), nil
		case <-l.returned:
		case <-l.ctx.Done():
		}
	}
}

// release gives a slot back.
func (l *line) release(s *slot) {
	l.shop.release(s)
	l.held.Add(-1)
	select {
	case l.returned <- struct{}{}:
	default:
	}
}

// submit queues a filled slot to be worked on and written; nil stands for no
// work. The slot belongs to the line from here on.
func (l *line) submit(s *slot, work func(*worker, *slot) error) {
	if l.queue == nil {
		l.queue = make(chan *slot, cap(l.shop.slots))
		l.written = make(chan struct{})
		go l.write()
	}
	s.done = make(chan struct{})
	if work == nil {
		close(s.done)
	} else {
		go func() {
			defer close(s.done)
			s.err = l.shop.do(s, work)
		}()
	}
	l.queue <- s
}

// do works on a slot as soon as a worker is free.
func (p *shop) do(s *slot, work func(*worker, *slot) error) error {
	if work == nil {
		return nil
	}
	w := <-p.workers
	defer func() { p.workers <- w }()
	return work(w, s)
}

// finish works on a slot and writes it in the caller's goroutine. It is for
// objects of a single chunk, which must not pay for goroutines.
func (l *line) finish(s *slot, work func(*worker, *slot) error) error {
	defer l.release(s)
	if err := l.shop.do(s, work); err != nil {
		return err
	}
	_, err := l.dst.Write(s.out)
	return err
}

// write writes the slots of the queue in order. After the first error it only
// gives slots back.
func (l *line) write() {
	defer close(l.written)
	for s := range l.queue {
		<-s.done
		if l.ctx.Err() == nil {
			if err := l.writeSlot(s); err != nil {
				l.stop(err)
			}
		}
		l.release(s)
	}
}

func (l *line) writeSlot(s *slot) error {
	if s.err != nil {
		return s.err
	}
	_, err := l.dst.Write(s.out)
	return err
}

// close waits until everything submitted is written, and returns the first
// error: err, unless something broke the line before.
func (l *line) close(err error) error {
	if err != nil {
		l.stop(err)
	}
	if l.queue != nil {
		close(l.queue)
		<-l.written
	}
	first := context.Cause(l.ctx)
	l.stop(nil)
	return first
}
