// Package lineage finds out, from the topics alone, what a derived event was made of: which rule made it, of which records, what
// those were made of, and so on back to the source records.
//
// A derived event names the ids of its direct inputs in the last step of its lineage. The records of those ids lie in the topics that the
// rule reads, mostly near the event's own time; so reading begins there and goes on outwards until all are found.
package lineage
