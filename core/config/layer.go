package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// layer is a server's block, or the defaults block as it is for one server.
type layer struct {
	server, retention, recovery *settings
	backup, wal                 pipeline
	hooks                       []Hook
}

// pipeline is a backup or wal block.
type pipeline struct {
	settings   *settings
	source     *Stage
	transforms []Stage
	sinks      []Stage
}

// hasStages tells whether the block says anything about stages.
func (p pipeline) hasStages() bool { return p.source != nil || len(p.transforms)+len(p.sinks) > 0 }

// over lays a pipeline over a fallback: its settings one by one, its stages as
// a whole, since half of one pipeline and half of another is seldom what is
// meant.
func (p pipeline) over(fallback pipeline) pipeline {
	merged := p
	merged.settings = p.settings.over(fallback.settings)
	if !p.hasStages() {
		merged.source, merged.transforms, merged.sinks = fallback.source, fallback.transforms, fallback.sinks
	}
	return merged
}

// over lays a server's block over the defaults. Hooks add up: a hook that the
// defaults ask for is called whatever else a server wants.
func (own layer) over(fallback layer) layer {
	return layer{
		server:    own.server.over(fallback.server),
		retention: own.retention.over(fallback.retention),
		recovery:  own.recovery.over(fallback.recovery),
		backup:    own.backup.over(fallback.backup),
		wal:       own.wal.over(fallback.wal),
		hooks:     append(append([]Hook(nil), fallback.hooks...), own.hooks...),
	}
}

// readLayer reads a server or defaults block; where stands for what is absent.
func (l *loader) readLayer(body hcl.Body, where hcl.Range, ctx *hcl.EvalContext) layer {
	content, diags := body.Content(l.sections.server.body)
	l.add(diags...)
	var read layer
	read.server, diags = readContent(content, where, l.sections.server.decoder.Schema(), ctx)
	l.add(diags...)

	seen := map[string]*hcl.Block{}
	for _, block := range content.Blocks {
		if block.Type == kindHook {
			read.hooks = append(read.hooks, l.readHook(block, ctx))
			continue
		}
		if first := seen[block.Type]; first != nil {
			l.add(duplicateBlock(fmt.Sprintf("%q", block.Type), block.DefRange, first.DefRange))
			continue
		}
		seen[block.Type] = block
	}
	read.retention = l.readSection(l.sections.retention, seen["retention"], where, ctx)
	read.recovery = l.readSection(l.sections.recovery, seen["recovery"], where, ctx)
	read.backup = l.readPipeline(l.sections.backup, seen["backup"], where, ctx)
	read.wal = l.readPipeline(l.sections.wal, seen["wal"], where, ctx)
	return read
}

// readSection reads a block without stages; nil is an empty one.
func (l *loader) readSection(s section, block *hcl.Block, where hcl.Range, ctx *hcl.EvalContext) *settings {
	if block == nil {
		return &settings{where: where, schema: s.decoder.Schema()}
	}
	read, diags := readBody(block.Body, block.DefRange, s.decoder.Schema(), ctx)
	l.add(diags...)
	return read
}

// readPipeline reads a backup or wal block; nil is an empty one.
func (l *loader) readPipeline(s section, block *hcl.Block, where hcl.Range, ctx *hcl.EvalContext) pipeline {
	if block == nil {
		return pipeline{settings: l.readSection(s, nil, where, ctx)}
	}
	content, diags := block.Body.Content(s.body)
	l.add(diags...)
	var p pipeline
	p.settings, diags = readContent(content, block.DefRange, s.decoder.Schema(), ctx)
	l.add(diags...)
	for _, b := range content.Blocks {
		stage := l.readStage(b, ctx)
		switch {
		case b.Type == kindTransform:
			p.transforms = append(p.transforms, stage)
		case b.Type == kindSink:
			p.sinks = append(p.sinks, stage)
		case p.source != nil:
			l.add(mistake(b.DefRange, "Second source", fmt.Sprintf("A pipeline has one source; there is already one at %s.", position(p.source.DefRange))))
		default:
			p.source = &stage
		}
	}
	return p
}

func (l *loader) readStage(block *hcl.Block, ctx *hcl.EvalContext) Stage {
	stage := Stage{
		Kind: block.Type, Name: block.Labels[0], Required: true, Body: block.Body, DefRange: block.DefRange, ctx: ctx, exposed: l.exposed,
	}
	l.checkPluginName(stage.Name, block.LabelRanges[0])
	if stage.Kind == kindSink {
		var own sinkBlock
		l.readOwn(l.sections.sink, block, ctx, &own, stage.String())
		stage.Required = own.Required
	}
	return stage
}

// readOwn reads the core's settings from a stage's body and leaves the
// plugin's.
func (l *loader) readOwn(s section, block *hcl.Block, ctx *hcl.EvalContext, target any, owner string) *settings {
	content, _, diags := block.Body.PartialContent(s.body)
	l.add(diags...)
	read, diags := readContent(content, block.DefRange, s.decoder.Schema(), ctx)
	l.add(diags...)
	l.decode(s, read, target, owner)
	return read
}

func (l *loader) readHook(block *hcl.Block, ctx *hcl.EvalContext) Hook {
	event := block.Labels[0]
	if !contains(hookEvents(), event) {
		detail := fmt.Sprintf("There is no event %q.%s Events are %s.", event, didYouMean(event, hookEvents()), oneOf(hookEvents()))
		l.add(mistake(block.LabelRanges[0], "Unknown event", detail))
	}
	var own hookBlock
	read := l.readOwn(l.sections.hook, block, ctx, &own, fmt.Sprintf("hook %q", event))
	l.checkPluginName(own.Plugin, read.place("plugin"))
	stage := Stage{Kind: kindHook, Name: own.Plugin, Required: true, Body: block.Body, DefRange: block.DefRange, ctx: ctx, exposed: l.exposed}
	return Hook{Event: event, Retry: own.Retry, Stage: stage}
}

// absentStage is a stage that nobody wrote.
func absentStage(kind, name string, where hcl.Range, ctx *hcl.EvalContext) Stage {
	return Stage{Kind: kind, Name: name, Required: true, Body: &hclsyntax.Body{SrcRange: where, EndRange: where}, DefRange: where, ctx: ctx}
}
