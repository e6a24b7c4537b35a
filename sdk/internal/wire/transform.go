package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
	"github.com/barman-go/barman/sdk/proto"
)

// Step is one direction of a transform: its bytes and its names.
type Step struct {
	Convert func(ctx context.Context, o sdk.Object, dst io.Writer, src io.Reader) error
	Rename  func(name string) string
}

// Encoding is the step on the way to the store.
func Encoding(t sdk.Transform, keepNames bool) Step {
	rename := func(name string) string { return name + t.Suffix() }
	if keepNames {
		rename = func(name string) string { return name }
	}
	return Step{Convert: t.Encode, Rename: rename}
}

// Decoding is the step on the way back.
func Decoding(t sdk.Transform) Step {
	return Step{Convert: t.Decode, Rename: func(name string) string { return strings.TrimSuffix(name, t.Suffix()) }}
}

// Transform passes every object of the inlet through a step to the outlet, lane
// by lane, and the acknowledgements back.
func Transform(ctx context.Context, in *Inlet, out *Outlet, step Step) error {
	ctx, cancel := out.Context(ctx)
	defer cancel()
	err := in.serve(ctx, func(ctx context.Context, index int, r *lane.Receiver) error {
		for {
			object, reader, err := next(r)
			if errors.Is(err, io.EOF) {
				// Every acknowledgement has to come back before this lane may end.
				return out.lanes[index].close()
			}
			if err != nil {
				return err
			}
			if err := convert(ctx, step, object, reader, r, out.lanes[index]); err != nil {
				return err
			}
		}
	})
	if err != nil {
		err = out.Cause(err)
		return errors.Join(err, out.Abort(err))
	}
	return nil
}

func convert(ctx context.Context, step Step, object sdk.Object, in *incoming, r *lane.Receiver, out *outLane) error {
	in.meter = out.outlet.options.Meter
	bytes := object.Kind == sdk.KindFile || object.Kind == sdk.KindTar
	outgoing := object
	if bytes && !object.Verbatim {
		outgoing.Name, outgoing.Size = step.Rename(object.Name), sdk.SizeUnknown
	}
	w, err := out.begin(outgoing, func(receipts []sdk.Receipt) {
		acknowledge(r, in, object, receipts)
	})
	if err != nil {
		return err
	}
	switch {
	case object.Verbatim:
		_, err = io.Copy(w, in)
	case bytes:
		err = step.Convert(ctx, object, w, in)
	}
	switch {
	case in.failure != nil:
		return in.failure
	case w.failure != nil:
		return w.failure
	case err != nil:
		return fmt.Errorf("%s: %w", object.Name, err)
	}
	if err := in.ended("the transform"); err != nil {
		return fmt.Errorf("%s: %w", object.Name, err)
	}
	return w.finish(in.Sync())
}

// acknowledge passes receipts on to the stage before. If it cannot, that stage
// must not go on waiting for them: the lane ends, and both ends fail.
func acknowledge(r *lane.Receiver, in *incoming, object sdk.Object, receipts []sdk.Receipt) {
	ack := &proto.Ack{}
	for _, receipt := range receipts {
		ack.Receipts = append(ack.Receipts, ReceiptToProto(receipt))
	}
	payload, err := pb.Marshal(ack)
	if err == nil {
		err = r.Ack(in.Sequence, payload)
	}
	if err != nil {
		_ = r.Abort(encodeFault(fmt.Errorf("receipt of %s: %w", object.Name, laneError(err)))) // nobody is left to tell if this fails
	}
}
