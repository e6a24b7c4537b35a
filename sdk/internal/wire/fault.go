package wire

import (
	"errors"

	pb "google.golang.org/protobuf/proto"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/lane"
	"github.com/barman-go/barman/sdk/proto"
)

// maxFaultText bounds the text of an abort, so that it fits its frame.
const maxFaultText = 8 << 10

// encodeFault renders an error as the reason of an ABORT frame.
func encodeFault(err error) []byte {
	s := status.Convert(sdk.ToStatus(err))
	text := s.Message()
	text = text[:min(len(text), maxFaultText)]
	b, marshal := pb.Marshal(&proto.Fault{Code: uint32(s.Code()), Message: text})
	if marshal != nil {
		return nil
	}
	return b
}

// laneError classifies what a lane returned: a peer that aborted or went away
// is Disconnected, because its own error is the one to report; damage is
// Corrupt.
func laneError(err error) error {
	var abort *lane.AbortError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &abort):
		var fault proto.Fault
		if pb.Unmarshal(abort.Reason, &fault) != nil || codes.Code(fault.Code) == codes.OK {
			return sdk.Errorf(sdk.Disconnected, "the neighbouring stage gave up")
		}
		return sdk.Errorf(sdk.Disconnected, "the neighbouring stage gave up: %s", fault.Message)
	case errors.Is(err, lane.ErrCorrupt), errors.Is(err, lane.ErrProtocol):
		return sdk.Errorf(sdk.Corrupt, "%w", err)
	case errors.Is(err, lane.ErrBroken):
		return sdk.Errorf(sdk.Disconnected, "the neighbouring stage went away: %w", err)
	}
	return err
}
