package wire

import (
	"errors"
	"io"
	"sync"

	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
	"github.com/barman-go/barman/sdk/proto"
)

// outLane is one lane of an outlet, with a sender to each output. Objects go
// to all of them in the same order.
type outLane struct {
	outlet  *Outlet
	senders []*lane.Sender

	mu      sync.Mutex
	number  uint64
	pending map[uint64]*pendingObject
}

// begin starts an object on every output in service.
func (l *outLane) begin(object sdk.Object, done func([]sdk.Receipt)) (*laneWriter, error) {
	if !sdk.ValidName(object.Name) {
		return nil, sdk.Errorf(sdk.Invalid, "%q is not an object name", object.Name)
	}
	header, err := pb.Marshal(ObjectToProto(object))
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "object %q: %w", object.Name, err)
	}
	if err := l.outlet.doomed(); err != nil {
		return nil, err
	}
	p := &pendingObject{done: done, object: object}
	l.mu.Lock()
	l.number++
	number := l.number
	l.pending[number] = p
	l.mu.Unlock()
	w := &laneWriter{lane: l, number: number, pending: p, writers: make([]*lane.ObjectWriter, len(l.senders))}
	for k, s := range l.senders {
		if s == nil || l.outlet.isLost(k) {
			continue
		}
		writer, err := s.Begin(header)
		if err != nil {
			if err := l.outlet.lose(k, laneError(err)); err != nil {
				return nil, err
			}
			continue
		}
		w.writers[k] = writer
		l.mu.Lock()
		p.waiting = append(p.waiting, k)
		l.mu.Unlock()
	}
	return w, nil
}

// acknowledged is called by a sender for each object its receiver stored.
func (l *outLane) acknowledged(output int, sequence uint64, payload []byte) {
	var ack proto.Ack
	err := pb.Unmarshal(payload, &ack)
	if err == nil && len(ack.Receipts) == 0 {
		err = errors.New("no receipt in it")
	}
	if err != nil {
		// The object stays without a receipt: the output is as good as lost, and
		// a pipeline that is doomed by it says so at the next Emit, or in Close.
		_ = l.outlet.lose(output, sdk.Errorf(sdk.Corrupt, "acknowledgement of object %d: %w", sequence, err))
		return
	}
	l.mu.Lock()
	p := l.pending[sequence]
	if p != nil {
		for _, receipt := range ack.Receipts {
			r := ReceiptFromProto(receipt)
			if len(l.senders) > 1 {
				r.Output = output
			}
			p.receipts = append(p.receipts, r)
		}
	}
	l.mu.Unlock()
	l.strike(sequence, output)
}

// settle strikes a lost output from everything that waits for it.
func (l *outLane) settle(output int) {
	l.mu.Lock()
	var numbers []uint64
	for number := range l.pending {
		numbers = append(numbers, number)
	}
	l.mu.Unlock()
	for _, number := range numbers {
		l.strike(number, output)
	}
}

// strike removes an output from what an object waits for and completes the
// object when nothing is left.
func (l *outLane) strike(number uint64, output int) {
	l.mu.Lock()
	p := l.pending[number]
	if p == nil {
		l.mu.Unlock()
		return
	}
	p.strike(output)
	complete := p.finished && len(p.waiting) == 0
	if complete {
		delete(l.pending, number)
	}
	l.mu.Unlock()
	if complete {
		l.complete(p)
	}
}

func (l *outLane) complete(p *pendingObject) {
	for i := range p.receipts {
		p.receipts[i].SourceName = p.object.Name
		p.receipts[i].SourceSize = p.summary.Size
		p.receipts[i].SourceCRC32C = p.summary.CRC32C
	}
	if p.done != nil {
		p.done(p.receipts)
	}
	if l.outlet.options.Receipts != nil {
		l.outlet.options.Receipts(p.receipts)
	}
}

func (l *outLane) unsettled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending)
}

// laneWriter writes one object to all outputs in service.
type laneWriter struct {
	lane    *outLane
	number  uint64
	pending *pendingObject
	writers []*lane.ObjectWriter
	failure error // what the lanes, not the writer's user, did wrong
}

func (w *laneWriter) lost(output int, err error) error {
	w.writers[output] = nil
	w.failure = w.lane.outlet.lose(output, laneError(err))
	return w.failure
}

// Write sends p to every output.
func (w *laneWriter) Write(p []byte) (int, error) {
	for k, writer := range w.writers {
		if writer == nil {
			continue
		}
		if _, err := writer.Write(p); err != nil {
			if err := w.lost(k, err); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// ReadFrom sends all of r to every output; with one output there is no copy in
// between.
func (w *laneWriter) ReadFrom(r io.Reader) (int64, error) {
	if len(w.writers) != 1 || w.writers[0] == nil {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	source := &errorKeeper{r: r}
	n, err := w.writers[0].ReadFrom(source)
	if err != nil && source.err == nil {
		return n, w.lost(0, err)
	}
	return n, err
}

// finish ends the object on every output.
func (w *laneWriter) finish(sync bool) error {
	var summary lane.Summary
	for k, writer := range w.writers {
		if writer == nil {
			continue
		}
		sealed, err := writer.Seal()
		if err != nil {
			if err := w.lost(k, err); err != nil {
				return err
			}
			continue
		}
		summary = sealed
	}
	if stated := w.pending.object.Size; stated != sdk.SizeUnknown && summary.Size != stated {
		return sdk.Errorf(sdk.Corrupt, "%s: %d bytes came, %d were announced", w.pending.object.Name, summary.Size, stated)
	}
	// An acknowledgement can come as soon as the end is sent.
	w.lane.mu.Lock()
	w.pending.summary, w.pending.finished = summary, true
	w.lane.mu.Unlock()
	for k, writer := range w.writers {
		if writer == nil {
			continue
		}
		if err := writer.Finish(sync); err != nil {
			if err := w.lost(k, err); err != nil {
				return err
			}
		}
	}
	w.lane.outlet.options.Meter.Objects.Add(1)
	// Every output may have been lost or acknowledged before this point.
	w.lane.strike(w.number, -1)
	return nil
}

// errorKeeper remembers that an error came from the reader.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// close ends this lane on every output in service and waits until everything
// on it is acknowledged.
func (l *outLane) close() error {
	if err := l.outlet.doomed(); err != nil {
		return err
	}
	for k, s := range l.senders {
		if s == nil || l.outlet.isLost(k) {
			continue
		}
		if err := s.Close(); err != nil {
			if err := l.outlet.lose(k, laneError(err)); err != nil {
				return err
			}
		}
	}
	if n := l.unsettled(); n > 0 {
		return sdk.Errorf(sdk.Corrupt, "%d objects were never acknowledged", n)
	}
	return nil
}
