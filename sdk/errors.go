package sdk

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrorKind is the class of an error, the only thing about it that a program
// may act on. It survives the boundary between processes.
type ErrorKind int

const (
	// Unknown is everything unclassified.
	Unknown ErrorKind = iota
	// NotFound: the object, backup, segment, slot or bucket does not exist.
	NotFound
	// Exists: something else is there under this name.
	Exists
	// Unavailable: network, throttling, server starting. Trying again may help.
	Unavailable
	// Invalid: the configuration or the request is wrong.
	Invalid
	// Denied: credentials or privileges are missing.
	Denied
	// Busy: somebody else holds what is needed.
	Busy
	// Corrupt: bytes are not what they were.
	Corrupt
	// Cancelled: the operation was told to stop.
	Cancelled
	// Disconnected: the stage at the other end of a lane went away. It is never
	// the cause of a pipeline's failure, only its echo.
	Disconnected
)

var kindNames = map[ErrorKind]string{
	Unknown: "unknown", NotFound: "not found", Exists: "exists", Unavailable: "unavailable", Invalid: "invalid",
	Denied: "denied", Busy: "busy", Corrupt: "corrupt", Cancelled: "cancelled", Disconnected: "disconnected",
}

// String returns the kind's name in words.
func (k ErrorKind) String() string { return kindNames[k] }

// Each kind has a gRPC code of its own, so that a plugin in any language can
// use them without the SDK.
var kindCodes = map[ErrorKind]codes.Code{
	Unknown: codes.Unknown, NotFound: codes.NotFound, Exists: codes.AlreadyExists, Unavailable: codes.Unavailable,
	Invalid: codes.InvalidArgument, Denied: codes.PermissionDenied, Busy: codes.Aborted, Corrupt: codes.DataLoss,
	Cancelled: codes.Canceled, Disconnected: codes.FailedPrecondition,
}

// Error is an error with a kind.
type Error struct {
	Kind ErrorKind
	Err  error
}

// Error returns the text of the underlying error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind; format is that of fmt.Errorf, %w included.
func Errorf(kind ErrorKind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of an error, whichever side of a process boundary it
// was made on. The outermost classified error in the chain decides; a
// cancelled or expired context is Cancelled.
func KindOf(err error) ErrorKind {
	var classified *Error
	if errors.As(err, &classified) {
		return classified.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Cancelled
	}
	if s, ok := status.FromError(err); ok && err != nil {
		return kindOfCode(s.Code())
	}
	return Unknown
}

func kindOfCode(code codes.Code) ErrorKind {
	if code == codes.DeadlineExceeded {
		return Cancelled // as an expired context is; gRPC says so when its own clock was first
	}
	for kind, c := range kindCodes {
		if c == code {
			return kind
		}
	}
	return Unknown
}

// ToStatus renders an error for the control connection: its kind becomes the
// gRPC code, its text the message.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(kindCodes[KindOf(err)], err.Error())
}

// FromStatus turns what a control connection returned back into an *Error.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	return &Error{Kind: kindOfCode(s.Code()), Err: errors.New(s.Message())}
}
