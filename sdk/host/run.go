package host

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	pb "google.golang.org/protobuf/proto"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/wal"
)

// cleanUpTime is how long a cancelled operation may take to clean up.
const cleanUpTime = 10 * time.Second

// Operation is what a stage is asked to do with the objects of its lanes.
type Operation struct{ request *proto.RunRequest }

// Backup takes a base backup. Jobs are the lanes of the outputs; with a landing
// there are none, and the request says it.
func Backup(r sdk.BackupRequest) Operation {
	backup := &proto.Backup{Prefix: r.Prefix, Label: r.Label, Layout: string(r.Layout), ArchiveSize: r.ArchiveSize, Jobs: uint32(r.Jobs)}
	if l := r.Landing; l != nil {
		backup.Landing = &proto.Landing{Directory: l.Directory, Reference: l.Reference}
		if !l.Horizon.IsZero() {
			backup.Landing.Horizon = l.Horizon.UnixNano()
		}
	}
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Backup{Backup: backup}}}
}

// Receive receives WAL.
func Receive(r sdk.ReceiveRequest) Operation {
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Receive{
		Receive: &proto.Receive{Directory: r.Directory, SegmentSize: int64(r.SegmentSize), Synchronous: r.Synchronous},
	}}}
}

// Encode transforms on the way to the store. keepNames leaves names alone.
func Encode(keepNames bool) Operation {
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Encode{Encode: &proto.Encode{KeepNames: keepNames}}}}
}

// Decode transforms on the way back.
func Decode() Operation {
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Decode{Decode: &proto.Decode{}}}}
}

// Put stores what arrives.
func Put() Operation {
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Put{Put: &proto.Put{}}}}
}

// Selection names objects of a sink to be emitted.
type Selection struct {
	// Name is an object's name or, with Prefix, what names begin with.
	Name   string
	Prefix bool
	// Rename takes the place of Name in the emitted object's name. Without
	// Prefix, an empty one leaves the name as it is.
	Rename string
	// Tar emits the object as sdk.KindTar: a store may not know what it holds.
	Tar bool
	// Verbatim emits the object for transforms to pass on as it is.
	Verbatim bool
}

// Read emits stored objects.
func Read(selections []Selection) Operation {
	read := &proto.Read{}
	for _, s := range selections {
		read.Selections = append(read.Selections, &proto.Selection{Name: s.Name, Prefix: s.Prefix, Rename: s.Rename, Tar: s.Tar, Verbatim: s.Verbatim})
	}
	return Operation{&proto.RunRequest{Operation: &proto.RunRequest_Read{Read: read}}}
}

// Output is where one of the next stages listens.
type Output struct {
	Lanes    []string
	Required bool
}

// Lanes are the addresses at a stage's two ends.
type Lanes struct {
	Inputs  []string
	Outputs []Output
	// NoRing keeps all bytes on the sockets.
	NoRing bool
}

// Events are called as a stage reports; nil ones are left out. They are called
// from one goroutine.
type Events struct {
	// Progress comes several times a second. expected is 0 when unknown.
	Progress func(objects, bytes, expected int64)
	// Receipts are for objects that are durable in every output.
	Receipts func([]sdk.Receipt)
	// WAL is how far a WAL source has come.
	WAL func(sdk.WALProgress)
	// Backup is the result of a base backup.
	Backup func(sdk.BackupResult)
	// LostOutput: an output that is not required failed.
	LostOutput func(output int, message string)
}

// Run carries out an operation and returns when the stage has ended it.
func (s *Stage) Run(ctx context.Context, op Operation, lanes Lanes, events Events) error {
	request := pb.CloneOf(op.request)
	request.Inputs, request.NoRing = lanes.Inputs, lanes.NoRing
	for _, o := range lanes.Outputs {
		request.Outputs = append(request.Outputs, &proto.Output{Lanes: o.Lanes, Required: o.Required})
	}
	// The stream outlives ctx, so that the stage can clean up and say so.
	streamCtx, cancel := s.watched(context.WithoutCancel(ctx))
	defer cancel(nil)
	stream, err := s.control.Run(streamCtx, request)
	if err != nil {
		return s.explain(streamCtx, err)
	}
	begun, told := make(chan struct{}), make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(told)
		giveUp := time.AfterFunc(cleanUpTime, func() {
			cancel(sdk.Errorf(sdk.Cancelled, "did not stop within %s of being told to", cleanUpTime))
		})
		// A stage that has not begun the operation yet would not know what to cancel.
		select {
		case <-begun:
		case <-streamCtx.Done():
			giveUp.Stop()
			return
		}
		cancelCtx, done := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer done()
		// A stage that does not even take the request is given up like one that
		// does not obey it.
		_, _ = s.control.Cancel(cancelCtx, &proto.CancelRequest{})
		context.AfterFunc(streamCtx, func() { giveUp.Stop() })
	})
	err = s.explain(streamCtx, receive(stream, events, sync.OnceFunc(func() { close(begun) })))
	cancel(nil)
	if !release() {
		// A request still on its way would cancel the next operation.
		<-told
	}
	return err
}

func receive(stream grpc.ServerStreamingClient[proto.Event], events Events, begun func()) error {
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		begun()
		switch e := event.Event.(type) {
		case *proto.Event_Progress:
			if events.Progress != nil {
				events.Progress(e.Progress.Objects, e.Progress.Bytes, e.Progress.Expected)
			}
		case *proto.Event_Receipts:
			if events.Receipts != nil {
				events.Receipts(receiptsFromProto(e.Receipts))
			}
		case *proto.Event_Wal:
			if events.WAL != nil {
				events.WAL(sdk.WALProgress{Timeline: wal.Timeline(e.Wal.Timeline), Flushed: wal.LSN(e.Wal.Flushed), Finished: e.Wal.Finished})
			}
		case *proto.Event_Backup:
			if events.Backup != nil {
				events.Backup(resultFromProto(e.Backup))
			}
		case *proto.Event_LostOutput:
			if events.LostOutput != nil {
				events.LostOutput(int(e.LostOutput.Output), e.LostOutput.Message)
			}
		}
	}
}
