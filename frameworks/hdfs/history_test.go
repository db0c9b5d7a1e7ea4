package hdfs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestHistoryUnderWrites: a journal node that is asked before another may lack what
// was written in between, and is asked again.
func TestHistoryUnderWrites(t *testing.T) {
	d := deployment()
	answers := map[string][]segment{"journal-1": {{1, 10}, {11, 12}}, "journal-2": {{1, 13}, {14, 16}}}
	for i, n := range d.Nodes {
		if answers[n.Name] == nil {
			continue
		}
		serve(t, d, n.Name, beans{"Hadoop:service=JournalNode,name=JournalNodeInfo": {"HostAndPort": "x", "JournalsStatus": `{"hdfs":{"Formatted":"true"}}`}})
		d.Nodes[i].Place.Ports[rpcPort] = journalAnswers(t, answers[n.Name][:1], answers[n.Name], []segment{{1, 13}}, []segment{{1, 13}, {14, 19}})
	}
	h := valid().withDefaults().layout(d, d.Nodes[0], Nodes{}).readHistory(t.Context())
	assert.NoError(t, h.each())
	assert.Equal(t, uint64(16), h.last())
}
