package barmanconf

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// gatherDefaults puts into a block "defaults" what [barman] says for all servers,
// and the stages and hooks that they have in common, and leaves it out of the
// servers. What one of them does not have stays with the others: it would inherit it.
func (c *Configuration) gatherDefaults(d *Document) {
	var servers []*Block
	for _, b := range d.Blocks {
		if b.Type == "server" && !b.off {
			servers = append(servers, b)
		}
	}
	if len(servers) < 2 {
		return
	}
	global := map[hcl.Range]bool{{}: true} // what is nowhere is a default
	for _, o := range c.file.Options(c.file.Section(globalSection)) {
		global[rangeOf(o.Place)] = true
	}
	defaults := &Block{Type: "defaults", Comments: []string{"What holds for every server that does not say otherwise."}}
	moveAttributes(defaults, servers, global)
	for _, kind := range []string{"backup", "wal", "retention", "recovery"} {
		inner := make([]*Block, 0, len(servers))
		for _, s := range servers {
			if b := s.inner(kind); b != nil {
				inner = append(inner, b)
			}
		}
		if len(inner) < len(servers) {
			continue
		}
		common := &Block{Type: kind}
		moveAttributes(common, inner, global)
		moveStages(common, inner)
		defaults.add(common)
	}
	moveHooks(defaults, servers)
	for _, s := range servers {
		s.blocks = slices.DeleteFunc(s.blocks, func(b *Block) bool { return len(b.Labels)+len(b.attributes)+len(b.blocks) == 0 })
	}
	if len(defaults.attributes)+len(defaults.blocks) > 0 {
		d.Blocks = slices.Insert(d.Blocks, 1, defaults)
	}
}

// inner returns the block of a type.
func (b *Block) inner(kind string) *Block {
	i := slices.IndexFunc(b.blocks, func(inner *Block) bool { return inner.Type == kind })
	if i < 0 {
		return nil
	}
	return b.blocks[i]
}

// moveAttributes moves the attributes that all blocks have and several of them from
// the same line of [barman], or by default.
func moveAttributes(to *Block, from []*Block, global map[hcl.Range]bool) {
	var names []string
	for _, b := range from {
		for _, a := range b.attributes {
			if !slices.Contains(names, a.name) {
				names = append(names, a.name)
			}
		}
	}
	for _, name := range names {
		everywhere := true
		var candidates []attribute
		for _, b := range from {
			i := slices.IndexFunc(b.attributes, func(a attribute) bool { return a.name == name })
			if everywhere = everywhere && i >= 0; i >= 0 && global[b.attributes[i].where] {
				candidates = append(candidates, b.attributes[i])
			}
		}
		if !everywhere {
			continue
		}
		if shared, found := mostCommon(candidates); found {
			to.attributes = append(to.attributes, shared)
			for _, b := range from {
				b.attributes = slices.DeleteFunc(b.attributes, shared.equal)
			}
		}
	}
}

func (a attribute) equal(other attribute) bool {
	return a.name == other.name && a.where == other.where && a.value.RawEquals(other.value)
}

// mostCommon returns the attribute that is there most often, if that is more than
// once.
func mostCommon(all []attribute) (most attribute, found bool) {
	highest := 1
	for _, a := range all {
		count := 0
		for _, other := range all {
			if a.equal(other) {
				count++
			}
		}
		if count > highest {
			highest, most, found = count, a, true
		}
	}
	return most, found
}

// moveStages moves the stages that most blocks have, if all have some: a pipeline
// without any would inherit them.
func moveStages(to *Block, from []*Block) {
	count := map[string]int{}
	var most string
	var stages []*Block
	for _, b := range from {
		if len(b.blocks) == 0 {
			return
		}
		text := said(b.blocks)
		if count[text]++; count[text] > count[most] {
			most, stages = text, b.blocks
		}
	}
	if count[most] < 2 {
		return
	}
	to.blocks = stages
	for _, b := range from {
		if said(b.blocks) == most {
			b.blocks = nil
		}
	}
}

// moveHooks moves the hooks with which the lists of all servers begin: those of
// "defaults" are called first.
func moveHooks(to *Block, servers []*Block) {
	hooks := func(b *Block) []*Block {
		return slices.DeleteFunc(slices.Clone(b.blocks), func(inner *Block) bool { return inner.Type != "hook" })
	}
	first := hooks(servers[0])
	n := len(first)
	for _, s := range servers[1:] {
		own := hooks(s)
		n = min(n, len(own))
		for i := range n {
			if said(first[i:i+1]) != said(own[i:i+1]) {
				n = i
				break
			}
		}
	}
	to.blocks = append(to.blocks, first[:n]...)
	for _, s := range servers {
		common := hooks(s)[:n]
		s.blocks = slices.DeleteFunc(s.blocks, func(b *Block) bool { return slices.Contains(common, b) })
	}
}

// said is what blocks say, as HCL.
func said(blocks []*Block) string {
	var b strings.Builder
	for _, block := range blocks {
		b.Write((&Document{Blocks: []*Block{block}}).HCL())
	}
	return b.String()
}
