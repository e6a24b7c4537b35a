package main

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// mount is a directory outside the root for what is below a name.
type mount struct {
	name    string
	tree    *tree
	commits *committer
}

func openMount(name, directory string, volatile bool) (*mount, error) {
	t, err := openTree(directory, nil)
	if err != nil {
		return nil, err
	}
	c, err := newCommitter(t, volatile)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return &mount{name: name, tree: t, commits: c}, nil
}

// target is where a name leads: a tree, and the name in it.
type target struct {
	tree    *tree
	commits *committer
	name    string
}

func (s *Sink) target(name string) target {
	for _, m := range s.mounts {
		if name == m.name {
			return target{m.tree, m.commits, "."}
		}
		if within(name, m.name) {
			return target{m.tree, m.commits, name[len(m.name)+1:]}
		}
	}
	return target{s.tree, s.commits, name}
}

// mounted tells whether a name is that of a mount.
func (s *Sink) mounted(name string) bool {
	for _, m := range s.mounts {
		if m.name == name {
			return true
		}
	}
	return false
}

// link puts a symbolic link to a mount under its name, when everything else is
// in place. Nothing is written through it: names are resolved before.
func (s *Sink) link(m *mount) error {
	how := reach{make: true, made: func(name string) { s.commits.changed(path.Dir(name)) }}
	made := false
	err := s.tree.with(m.name, how, func(fd int, base string) error {
		err := unix.Symlinkat(m.tree.path, fd, base)
		if !errors.Is(err, unix.EEXIST) {
			made = err == nil
			return err
		}
		if there, err := readLink(fd, base); err != nil || there != m.tree.path {
			return sdk.Errorf(sdk.Exists, "%s is in %s already: it should become the symbolic link to %s", m.name, s.tree.path, m.tree.path)
		}
		return nil
	})
	if made {
		s.commits.changed(path.Dir(m.name))
	}
	return s.tree.fault("link", m.name, err)
}
