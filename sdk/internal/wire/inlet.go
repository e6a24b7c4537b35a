package wire

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"
	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
	"github.com/barman-go/barman/sdk/proto"
)

// Inlet is the absorbing end of a hop.
type Inlet struct{ listeners []*lane.Listener }

// Listen creates the sockets of an inlet. When it returns, emitters can connect.
func Listen(addresses []string, noRing bool) (*Inlet, error) {
	in := &Inlet{}
	for _, address := range addresses {
		l, err := lane.Listen(address, lane.Options{NoRing: noRing})
		if err != nil {
			return nil, errors.Join(err, in.Close())
		}
		in.listeners = append(in.listeners, l)
	}
	return in, nil
}

// Close gives up listening.
func (in *Inlet) Close() error {
	var errs []error
	for _, l := range in.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// serve runs handle for every lane, side by side, and ends the lanes: normally
// when handle returned nil, else with its error as the reason.
func (in *Inlet) serve(ctx context.Context, handle func(ctx context.Context, index int, r *lane.Receiver) error) error {
	group, ctx := errgroup.WithContext(ctx)
	// The lanes outlive the first error long enough to tell the senders.
	laneCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	for i, l := range in.listeners {
		group.Go(func() error {
			acceptCtx, cancel := context.WithCancel(laneCtx)
			defer cancel()
			release := context.AfterFunc(ctx, cancel)
			r, err := l.Accept(acceptCtx)
			if err != nil {
				release()
				return laneError(err)
			}
			if err := handle(ctx, i, r); err != nil {
				if release() {
					err = errors.Join(err, r.Abort(encodeFault(err)))
				} else {
					err = errors.Join(err, r.Abort(nil))
				}
				return err
			}
			release()
			return laneError(r.Close())
		})
	}
	return group.Wait()
}

// next returns the next object of a lane, and io.EOF at its normal end.
func next(r *lane.Receiver) (sdk.Object, *incoming, error) {
	in, err := r.Next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return sdk.Object{}, nil, io.EOF
		}
		return sdk.Object{}, nil, laneError(err)
	}
	var header proto.Object
	if err := pb.Unmarshal(in.Header, &header); err != nil {
		return sdk.Object{}, nil, sdk.Errorf(sdk.Corrupt, "object header: %w", err)
	}
	object, err := ObjectFromProto(&header)
	if err != nil {
		return sdk.Object{}, nil, err
	}
	return object, &incoming{Incoming: in, object: object}, nil
}

// incoming classifies the errors of a lane's reads and remembers them, so that
// a stage's author can't lose them.
type incoming struct {
	*lane.Incoming
	object  sdk.Object
	meter   *Meter
	failure error
}

// end is what the end of the lane's bytes means: the end of the object, unless
// it is of another size than was announced.
func (in *incoming) end() error {
	if got := in.Summary().Size; in.object.Size != sdk.SizeUnknown && got != in.object.Size {
		in.failure = sdk.Errorf(sdk.Corrupt, "%s: %d bytes came, %d were announced", in.object.Name, got, in.object.Size)
		return in.failure
	}
	return io.EOF
}

func (in *incoming) Read(p []byte) (int, error) {
	n, err := in.Incoming.Read(p)
	if in.meter != nil {
		in.meter.Bytes.Add(int64(n))
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		return n, in.end()
	}
	in.failure = laneError(err)
	return n, in.failure
}

func (in *incoming) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{w: w, meter: in.meter}
	n, err := in.copyTo(counted)
	switch {
	case counted.err != nil:
		return n, err
	case err != nil:
		in.failure = laneError(err)
		return n, in.failure
	}
	if err := in.end(); err != io.EOF {
		return n, err
	}
	return n, nil
}

// copyTo copies to a writer, in the cheapest way if that is the next lane.
func (in *incoming) copyTo(counted *countingWriter) (int64, error) {
	if next, ok := counted.w.(*laneWriter); ok && len(next.writers) == 1 && next.writers[0] != nil {
		return in.Incoming.Relay(next.writers[0], counted)
	}
	return in.Incoming.WriteTo(counted)
}

// countingWriter counts bytes and remembers that an error was the writer's.
type countingWriter struct {
	w     io.Writer
	meter *Meter
	err   error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.meter != nil {
		c.meter.Bytes.Add(int64(n))
	}
	if err != nil {
		c.err = err
	}
	return n, err
}

// ended makes sure that the whole object was read and found right. Whoever
// says that it is done with an object it has not read to the end is at fault.
func (in *incoming) ended(what string) error {
	if in.failure != nil {
		return in.failure
	}
	_, err := in.Read(make([]byte, 1))
	switch {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return sdk.Errorf(sdk.Corrupt, "%s returned before it had read the whole object", what)
}
