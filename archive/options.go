package archive

import (
	"log/slog"
	"time"

	"mailark/internal/durable"
)

// Options tune an archive; nil and the zero value are right for everyday use.
type Options struct {
	FS          *durable.FS      // steps on the disk; nil: no hook
	Log         *slog.Logger     // nil: silent
	Now         func() time.Time // nil: time.Now
	Program     string           // written into archive.json and run records, e.g. "mailark 0.1.0"
	FrameSize   int64            // octets of tar in a frame before it is committed; 0: 64 MiB
	SegmentSize int64            // compressed octets at which a segment is sealed; 0: 256 MiB
	CommitEvery time.Duration    // longest time between commits while mail comes in; 0: 60 s
	Window      int              // octets of the zstd window, a power of two; 0: 64 MiB
	Lanes       int              // frames compressed side by side when one is not enough; 0: 1
}

const (
	defaultFrameSize   = 64 << 20
	defaultSegmentSize = 256 << 20
	defaultCommitEvery = 60 * time.Second
	defaultLanes       = 1

	// sealAtEnd is the compressed size from which a segment is sealed at the end of a run. Smaller
	// ones stay open for the next run, so that a nightly run does not leave a file a day.
	sealAtEnd = 8 << 20
)

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.FS == nil {
		opts.FS = durable.New(nil)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Program == "" {
		opts.Program = "mailark"
	}
	if opts.FrameSize <= 0 {
		opts.FrameSize = defaultFrameSize
	}
	if opts.SegmentSize <= 0 {
		opts.SegmentSize = defaultSegmentSize
	}
	if opts.CommitEvery <= 0 {
		opts.CommitEvery = defaultCommitEvery
	}
	if opts.Window <= 0 {
		opts.Window = mailWindow
	}
	if opts.Lanes <= 0 {
		opts.Lanes = defaultLanes
	}
	return opts
}
