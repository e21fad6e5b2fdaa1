package nfa

const captureSize, runSize = 16, 16

func eventSize(e *Event) int { return 24 + len(e.Body) }
