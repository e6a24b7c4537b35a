package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/barman-go/barman/core/config/barmanconf"
	"github.com/barman-go/barman/sdk"
)

// Model is a set of settings that can be laid over the servers of a cluster.
type Model struct {
	// Name is unique among models and servers.
	Name string
	// Cluster is that of the servers that it fits.
	Cluster string
	// DefRange is where the model's block begins.
	DefRange hcl.Range
}

// Model returns the model of a name. An unknown name is NotFound, with the nearest
// known one in the text.
func (c *Config) Model(name string) (Model, error) {
	names := make([]string, 0, len(c.Models))
	for _, m := range c.Models {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Model{}, sdk.Errorf(sdk.NotFound, "there is no model %q.%s", name, didYouMean(name, names))
}

// model is a model whose block is read anew for every server, whose name it may
// refer to.
type model struct {
	name, cluster string
	blocks        []*hcl.Block // each is laid over those before it
}

// layer reads the model for a server.
func (m *model) layer(l *loader, ctx *hcl.EvalContext) layer {
	read := l.readModel(m.blocks[0], ctx)
	for _, block := range m.blocks[1:] {
		read = l.readModel(block, ctx).over(read)
	}
	delete(read.server.attributes, "cluster")
	return read
}

// readModel reads a model's block. It may not move a server's files, nor have hooks,
// which add up and could not be taken off again.
func (l *loader) readModel(block *hcl.Block, ctx *hcl.EvalContext) layer {
	read := l.readLayer(block.Body, block.DefRange, ctx)
	for name, v := range read.server.attributes {
		if strings.HasSuffix(name, "_directory") {
			l.add(mistake(v.whole, "Directory in a model", fmt.Sprintf("A model cannot change %q: the server's files would seem to be lost.", name)))
		}
	}
	for _, hook := range read.hooks {
		l.add(mistake(hook.Stage.DefRange, "Hook in a model", "A model has no hooks; they belong to the server."))
	}
	return read
}

func (l *loader) decodeModels() {
	for _, block := range l.models {
		l.decodeModel(block, []*hcl.Block{block})
	}
	for key, block := range l.changed {
		if name, isModel := strings.CutPrefix(key, "model "); isModel && l.model(name) == nil {
			l.decodeModel(block, nil)
		}
	}
	slices.SortFunc(l.config.Models, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
}

func (l *loader) decodeModel(block *hcl.Block, blocks []*hcl.Block) {
	name := block.Labels[0]
	l.checkServerName(name, block.LabelRanges[0])
	if first := l.model(name); first != nil {
		l.add(mistake(block.DefRange, "Duplicate model", fmt.Sprintf("There is already a model %q at %s.", name, position(first.blocks[0].DefRange))))
		return
	}
	if slices.ContainsFunc(l.servers, func(s *hcl.Block) bool { return s.Labels[0] == name }) {
		l.add(mistake(block.DefRange, "Name taken", fmt.Sprintf("There is a server %q; a model needs a name of its own.", name)))
		return
	}
	if changes := l.changed["model "+name]; changes != nil {
		blocks = append(blocks, changes)
	}
	m := &model{name: name, blocks: blocks}
	l.known = append(l.known, m)
	ctx := forServer(l.ctx, "example")
	for _, b := range blocks {
		if raw := l.readModel(b, ctx).server.attributes["cluster"].raw; raw != nil {
			if err := json.Unmarshal(raw, &m.cluster); err != nil {
				l.add(mistake(b.DefRange, "Invalid cluster", err.Error()+"."))
			}
		}
	}
	if m.cluster == "" {
		l.add(mistake(block.DefRange, "Missing argument", fmt.Sprintf("The model %q needs a \"cluster\", which it has in common with the servers that it fits.", name)))
	}
	l.config.Models = append(l.config.Models, Model{Name: name, Cluster: m.cluster, DefRange: block.DefRange})
}

func (l *loader) model(name string) *model {
	i := slices.IndexFunc(l.known, func(m *model) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return l.known[i]
}

// activeModel returns the model that the server's directory names, nil for none. Of
// a barman.conf it has been laid over the server already.
func (l *loader) activeModel(s *settings, name string) (*model, hcl.Diagnostics) {
	if l.classic != nil {
		return nil, nil
	}
	text := func(attribute, fallback string) string {
		found := fallback
		if raw := s.attributes[attribute].raw; raw != nil && json.Unmarshal(raw, &found) != nil {
			return fallback
		}
		return found
	}
	path := filepath.Join(text("backup_directory", filepath.Join(l.config.Global.Home, name)), barmanconf.ActiveModelFile)
	content, err := readFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hcl.Diagnostics{mistake(s.where, "Active model", fmt.Sprintf("Which model is active cannot be told: %v.", err))}
	}
	wanted := strings.TrimSpace(string(content))
	reset := fmt.Sprintf("'barman config-switch %s --reset' takes it off.", name)
	switch m := l.model(wanted); {
	case m == nil:
		return nil, hcl.Diagnostics{mistake(s.where, "Unknown model", fmt.Sprintf("%s names the model %q, which does not exist. %s", path, wanted, reset))}
	case m.cluster != text("cluster", name):
		detail := fmt.Sprintf("%s names the model %q, which is of cluster %q, not %q. %s", path, wanted, m.cluster, text("cluster", name), reset)
		return nil, hcl.Diagnostics{mistake(s.where, "Model of another cluster", detail)}
	default:
		return m, nil
	}
}
