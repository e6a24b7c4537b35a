package main

import (
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// hands is how many goroutines write files. Creating a file and copying its
	// bytes into the page cache take longer than reading the archive.
	hands = 3
	// chunks is how many pieces of files are on their way, bufferSize each.
	chunks = 24
)

// task is a file to be written. It is touched by one hand only.
type task struct {
	name     string
	mode     fs.FileMode
	modified time.Time

	file   *os.File
	to     target
	writer writer
}

// chunk is a piece of a file.
type chunk struct {
	bytes []byte
	task  *task
	last  bool
}

// crew writes the files of an archive: each file by one of its hands, in order,
// several files at a time.
type crew struct {
	sink   *Sink
	hands  []chan *chunk
	turn   int
	free   chan *chunk
	failed chan struct{}

	group sync.WaitGroup
	once  sync.Once
	err   error
}

func (s *Sink) newCrew() *crew {
	c := &crew{sink: s, free: make(chan *chunk, chunks), failed: make(chan struct{})}
	for range chunks {
		c.free <- &chunk{}
	}
	for range hands {
		hand := make(chan *chunk, chunks)
		c.hands = append(c.hands, hand)
		c.group.Go(func() { c.write(hand) })
	}
	return c
}

// next returns the hand for the next file: the one with the least to do.
func (c *crew) next() chan<- *chunk {
	c.turn++
	best := c.hands[c.turn%hands]
	for _, hand := range c.hands {
		if len(hand) < len(best) {
			best = hand
		}
	}
	return best
}

// chunk returns a free chunk, or errCrewFailed. Its buffer is made at its
// first use.
func (c *crew) chunk() (*chunk, error) {
	select {
	case <-c.failed:
		return nil, errCrewFailed
	case free := <-c.free:
		if free.bytes == nil {
			free.bytes = make([]byte, bufferSize)
		}
		return free, nil
	}
}

func (c *crew) giveBack(done *chunk) {
	done.bytes, done.task, done.last = done.bytes[:cap(done.bytes)], nil, false
	c.free <- done
}

// wait ends the crew's work and returns its error.
func (c *crew) wait() error {
	for _, hand := range c.hands {
		close(hand)
	}
	c.group.Wait()
	return c.err
}

func (c *crew) fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.failed)
	})
}

func (c *crew) write(hand <-chan *chunk) {
	var current *task
	for piece := range hand {
		current = piece.task
		if err := c.writeChunk(piece); err != nil {
			c.fail(err)
		}
		c.giveBack(piece)
	}
	if current != nil && current.file != nil {
		_ = current.file.Close() // its end never came: the unpacking has failed
	}
}

// writeChunk writes a piece. After a failure it does nothing.
func (c *crew) writeChunk(piece *chunk) error {
	t := piece.task
	select {
	case <-c.failed:
		if t.file != nil {
			_ = t.file.Close() // incomplete anyway
			t.file = nil
		}
		return nil
	default:
	}
	if t.file == nil {
		f, to, err := c.sink.restoreFile(t.name)
		if err != nil {
			return suspicious(err)
		}
		t.file, t.to, t.writer = f, to, c.sink.writer(f)
	}
	if _, err := t.writer.Write(piece.bytes); err != nil {
		return t.to.tree.fault("restore", t.to.name, err)
	}
	if !piece.last {
		return nil
	}
	err := t.writer.end()
	f := t.file
	t.file = nil
	return c.sink.restored(f, t.to, t.mode, t.modified, err)
}
