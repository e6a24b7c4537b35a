package main

import (
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/core/pipeline"
)

const (
	firstProgress = 10 * time.Second
	nextProgress  = 30 * time.Second
	barWidth      = 40
	redraw        = 200 * time.Millisecond
)

// progress shows how a pipeline gets on: as a bar where somebody watches, else
// as a line in the log now and then. end takes the bar away.
func (a *app) progress(title string) (tell func(pipeline.Progress), end func()) {
	if a.options.quiet {
		return func(pipeline.Progress) {}, func() {}
	}
	if !a.terminal {
		log, begun := a.logger(), time.Now()
		every := &interval{next: begun.Add(firstProgress)}
		return func(p pipeline.Progress) {
			if now := time.Now(); every.passed(now) {
				log.Info(title, "copied", catalogue.PrettySize(p.Bytes), "of", expected(p), "objects", p.Objects, "rate", rate(p.Bytes, now.Sub(begun)))
			}
		}, func() {}
	}
	return a.bar(title)
}

func expected(p pipeline.Progress) string {
	if p.Expected <= 0 {
		return "unknown"
	}
	return catalogue.PrettySize(p.Expected)
}

func rate(bytes int64, in time.Duration) string {
	if in <= 0 {
		return "unknown"
	}
	return catalogue.PrettySize(int64(float64(bytes)/in.Seconds())) + "/s"
}

// interval lets one call through each time it has passed.
type interval struct {
	mu   sync.Mutex
	next time.Time
}

func (i *interval) passed(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now.Before(i.next) {
		return false
	}
	i.next = now.Add(nextProgress)
	return true
}

// bar draws on standard error, and lets what is logged meanwhile appear above.
func (a *app) bar(title string) (tell func(pipeline.Progress), end func()) {
	bars := mpb.New(mpb.WithOutput(a.stderr.w), mpb.WithWidth(barWidth), mpb.WithRefreshRate(redraw))
	a.stderr.lend(bars)
	bar := bars.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(title+" ")),
		mpb.AppendDecorators(
			decor.CountersKibiByte("% .1f / % .1f"),
			decor.AverageSpeed(decor.SizeB1024(0), "  % .1f"),
			decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace),
		),
	)
	tell = func(p pipeline.Progress) {
		if p.Expected > 0 {
			// The bar would end at its total, which is an estimate.
			bar.SetTotal(max(p.Expected, p.Bytes+1), false)
		}
		bar.SetCurrent(p.Bytes)
	}
	return tell, func() {
		bar.Abort(true)
		bars.Wait()
		a.stderr.lend(nil)
	}
}
