package exporter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same seed takes the same messages, from every mailbox as far as they reach.
func TestAuditSample(t *testing.T) {
	r := auditRig(t)
	sample := Sample{N: 5, Seed: 7}
	first := r.audit(0, sample)
	asked := r.asked()
	if first.Total.Compared != 5 || len(asked) != 5 || r.audited(first, "仕事/会議").Compared == 0 || first.Seed != 7 {
		t.Errorf("asked for %v\n%v", asked, first)
	}
	r.audit(0, sample)
	if again := r.asked(); !slices.Equal(again, asked) {
		t.Errorf("the same seed takes %v, then %v", asked, again)
	}
	if res := r.audit(0, Sample{N: 100}); res.Total.Compared != 19 || res.Seed == 0 {
		t.Errorf("report:\n%v", res)
	}
}

func TestQuotas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		counts, total, filled := make([]int, 1+rng.IntN(8)), 0, 0
		for i := range counts {
			counts[i] = rng.IntN(5) * rng.IntN(50)
			total += counts[i]
			filled += b2i(counts[i] > 0)
		}
		n := rng.IntN(total + 20)
		sum, taken := 0, 0
		take := quotas(counts, n, rng)
		for i := range take {
			if take[i] < 0 || take[i] > counts[i] {
				t.Fatalf("%d of %v: %v", n, counts, take)
			}
			sum += take[i]
			taken += b2i(take[i] > 0)
		}
		if sum != min(n, total) || taken < min(n, filled) {
			t.Fatalf("%d of %v: %v", n, counts, take)
		}
	}
}

// A message that comes with other octets is asked for twice, and counted once however much differs.
func TestAuditOtherOctets(t *testing.T) {
	r := auditRig(t)
	m := r.account.Messages("INBOX")[5]
	m.Octets[50] ^= 1
	m.InternalDate = m.InternalDate.Add(time.Hour)
	r.account.AddMessage("INBOX", m)
	res := r.audit(7, all)
	asked := 0
	for _, uid := range r.asked() {
		asked += b2i(uid == 6)
	}
	if res.Total.OtherOctets != 1 || res.Total.Differing != 1 || len(res.Differences) != 2 || res.Total.Compared != 18 || asked != 3 {
		t.Errorf("asked for %d times\n%v", asked, res) // UID 6 of the other mailbox is one of them
	}
}

func TestUIDSet(t *testing.T) {
	for want, uids := range map[string][]uint32{
		"": nil, "7": {7}, "1:3": {1, 2, 3}, "1:2,4,6:8": {1, 2, 4, 6, 7, 8}, "4294967294:4294967295": {1<<32 - 2, 1<<32 - 1},
	} {
		if got := uidSet(uids); got != want {
			t.Errorf("uidSet(%v) = %q, want %q", uids, got, want)
		}
	}
	if got := cutSet("10:20,30,40", 8); got != "10:20,…" {
		t.Errorf("cutSet: %q", got)
	}
	if got := cutSet(strings.Repeat("1", 20), 8); got != ",…" {
		t.Errorf("cutSet: %q", got)
	}
}
