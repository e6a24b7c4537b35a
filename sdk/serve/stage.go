package serve

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/internal/wire"
	"github.com/barman-go/barman/sdk/proto"
	"github.com/barman-go/barman/sdk/schema"
)

// stage is the plugin's end of the control connection.
type stage struct {
	proto.UnimplementedStageServer
	info         sdk.Info
	kind         string
	capabilities *proto.Capabilities
	schema       schema.Schema
	logger       hclog.Logger
	configure    func(context.Context, []byte, sdk.Server) (role, schema.Diagnostics, error)

	mu         sync.Mutex
	role       role
	configured bool
	cancel     context.CancelFunc // of the running operation, or nil
}

func asDiagnostics(err error, target *schema.Diagnostics) bool { return errors.As(err, target) }

func (s *stage) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeReply, error) {
	described, err := json.Marshal(s.schema)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	return &proto.DescribeReply{
		Kind: s.kind, Name: s.info.Name, Version: s.info.Version, Doc: s.info.Doc, Schema: described, Capabilities: s.capabilities,
	}, nil
}

func (s *stage) Configure(ctx context.Context, request *proto.ConfigureRequest) (*proto.ConfigureReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured {
		return nil, sdk.ToStatus(sdk.Errorf(sdk.Invalid, "configured already"))
	}
	// What open makes may keep the context, and outlives this call.
	ctx = hclog.WithContext(context.WithoutCancel(ctx), s.logger)
	server := sdk.Server{}
	if p := request.Server; p != nil {
		server = sdk.Server{
			Name: p.Name, Directory: p.Directory, Elsewhere: p.Elsewhere,
			Conninfo: sdk.Secret(p.Conninfo), StreamingConninfo: sdk.Secret(p.StreamingConninfo),
		}
	}
	opened, diagnostics, err := s.configure(ctx, request.Settings, server)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	reply := &proto.ConfigureReply{}
	for _, d := range diagnostics {
		reply.Diagnostics = append(reply.Diagnostics, &proto.Diagnostic{Path: d.Path, Summary: d.Summary, Detail: d.Detail})
	}
	if len(diagnostics) > 0 {
		return reply, nil
	}
	s.role, s.configured = opened, true
	if opened.transform != nil {
		reply.Suffix = opened.transform.Suffix()
	}
	return reply, nil
}

// playing returns the configured role.
func (s *stage) playing() (role, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.configured {
		return role{}, sdk.Errorf(sdk.Invalid, "not configured")
	}
	return s.role, nil
}

func (s *stage) Run(request *proto.RunRequest, stream grpc.ServerStreamingServer[proto.Event]) error {
	r, err := s.playing()
	if err != nil {
		return sdk.ToStatus(err)
	}
	ctx, cancel := context.WithCancel(hclog.WithContext(stream.Context(), s.logger))
	defer cancel()
	if !s.begin(cancel) {
		return sdk.ToStatus(sdk.Errorf(sdk.Busy, "an operation is running already"))
	}
	defer s.end()
	err = newOperation(request, stream).perform(ctx, r)
	if ctx.Err() != nil && (err == nil || sdk.KindOf(err) == sdk.Disconnected) && request.GetReceive() == nil {
		err = ctx.Err()
	}
	return sdk.ToStatus(err)
}

func (s *stage) begin(cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return false
	}
	s.cancel = cancel
	return true
}

func (s *stage) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
}

func (s *stage) Cancel(context.Context, *proto.CancelRequest) (*proto.CancelReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	return &proto.CancelReply{}, nil
}

func (s *stage) List(request *proto.ListRequest, stream grpc.ServerStreamingServer[proto.ListReply]) error {
	r, err := s.playing()
	if err != nil {
		return sdk.ToStatus(err)
	}
	if r.sink == nil {
		return sdk.ToStatus(s.notA("sink"))
	}
	const batch = 512
	reply := &proto.ListReply{}
	for object, err := range r.sink.List(hclog.WithContext(stream.Context(), s.logger), request.Prefix) {
		if err != nil {
			return sdk.ToStatus(err)
		}
		reply.Objects = append(reply.Objects, wire.ObjectToProto(object))
		if len(reply.Objects) < batch {
			continue
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
		reply = &proto.ListReply{}
	}
	if len(reply.Objects) == 0 {
		return nil
	}
	return stream.Send(reply)
}

func (s *stage) Delete(ctx context.Context, request *proto.DeleteRequest) (*proto.DeleteReply, error) {
	r, err := s.playing()
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	if r.sink == nil {
		return nil, sdk.ToStatus(s.notA("sink"))
	}
	for _, name := range request.Names {
		if !sdk.ValidName(name) {
			return nil, sdk.ToStatus(sdk.Errorf(sdk.Invalid, "%q is not an object name", name))
		}
	}
	if err := r.sink.Delete(hclog.WithContext(ctx, s.logger), request.Names); err != nil {
		return nil, sdk.ToStatus(err)
	}
	return &proto.DeleteReply{}, nil
}

func (s *stage) Notify(ctx context.Context, request *proto.NotifyRequest) (*proto.NotifyReply, error) {
	r, err := s.playing()
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	if r.hook == nil {
		return nil, sdk.ToStatus(s.notA("hook"))
	}
	event := sdk.Event{
		Operation: request.Operation, Phase: sdk.HookPhase(request.Phase), Server: request.Server, Error: request.Error, Values: request.Values,
	}
	if err := r.hook.Notify(hclog.WithContext(ctx, s.logger), event); err != nil {
		return nil, sdk.ToStatus(err)
	}
	return &proto.NotifyReply{}, nil
}

func (s *stage) notA(kind string) error {
	return sdk.Errorf(sdk.Invalid, "the %s %q is not a %s", s.kind, s.info.Name, kind)
}
