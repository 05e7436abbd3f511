/*
 * Drain of a connection by one end or by both, against new requests and against handlers that call back.
 *
 * Messages of each direction arrive in order and are not lost: replay.pml sees to that. They take less than a second, unless the
 * link is lost and the connection resumed, and handlers take any time; one may never be done.
 *
 * Sections: PROTOCOL.md, "Drain", "Concurrency" and "Outcome of a call".
 * Bounds: end 0 makes one call and end 1 two of their own; each of these may lead to one call back. End 1 may have one stream open,
 * so that its calls queue up, and end 0 two. End 1 drains, end 0 may drain. The link may be lost once.
 *
 * claim connection_ends: "When no stream is left, the sender of the GOAWAY closes the link" (PROTOCOL.md, "Drain")
 *   Both ends have closed in the end, though a handler is never done.
 * claim has_outcome: "When a call gets no complete response, its caller learns one of three outcomes." (PROTOCOL.md, "Outcome of a call")
 *   No call is open when the connection has ended.
 * claim no_call_lost: "Its sender wants the link to end without losing a call." (PROTOCOL.md, "Drain")
 *   Unless a handler is never done, no outcome is unknown, and the calls that the sender made before the GOAWAY are sent.
 * claim not_processed: "no handler has seen it" (PROTOCOL.md, "Outcome of a call")
 *   No handler has run for a call that is not processed.
 * claim may_call_back: "a handler may have to call back before it can finish" (PROTOCOL.md, "Drain")
 *   While its own end drains and the other one does not, its call succeeds.
 */
#define claim(name, holds) assert(name || (holds))
hidden byte connection_ends, has_outcome, no_call_lost, not_processed, may_call_back /* all 0: they name claims in what pan prints */

#define IDS 8 /* stream ids of end 0 are odd, of end 1 even */
#define LIMIT(end) (2 - (end)) /* streams that an end may have open at once */
#define OTHER(end) (1 - (end))
#define OWNER(id) (1 - (id) % 2)

mtype = { request, response, refused, cancelled, goaway, close } /* messages */
mtype = { open, success, notProcessed, unknown } /* of a call; 0: the id is idle */
mtype = { running, calling, done } /* of a handler; 0: it has never run */

chan to[2] = [10] of { mtype, byte }

bool drainsToo, mayHang
bool isSealed[2], isRetired[2], isClosed[2] /* GOAWAY was sent; was received; the link is closed */
byte lastRemote[2] /* the highest id of the other end that may have been processed */
byte nextId[2], opened[2], serving[2] /* streams of this end, and of the other */
byte toMake[2], waiting[2] /* calls that the application is going to make; that wait to be sent */
bool isSecond[2] /* the second that a receiver of GOAWAY waits has begun */
mtype outcome[IDS], handler[IDS]
byte parent[IDS] /* the stream whose handler made the call; 0: the application did */
bool isLost /* the link; the connection waits for another */
bool isForced /* calls were cancelled after 30 seconds */

#ifdef MUTANT_WAITING_CALLS_ARE_FORGOTTEN
#define IS_IDLE(end) (opened[end] + serving[end] == 0)
#else
#define IS_IDLE(end) (opened[end] + serving[end] + waiting[end] == 0)
#endif

/* A new stream of an end, for a call of the application or of the handler of another stream. */
inline openStream(end, by) {
  outcome[nextId[end]] = open;
  parent[nextId[end]] = by;
  opened[end]++;
  to[OTHER(end)]!request(nextId[end]);
  nextId[end] = nextId[end] + 2
}

/* A call is over; a handler that waited for it goes on. */
inline settle(call, how) {
  outcome[call] = how;
  opened[OWNER(call)]--;
  claim(may_call_back, how == success || parent[call] == 0 || drainsToo || OWNER(call) == 0 || isForced);
  if
  :: parent[call] != 0 && handler[parent[call]] == calling -> handler[parent[call]] = running
  :: else
  fi
}

inline settleAll(end, above, how) {
  for (other : 1 .. IDS - 1) {
    if
    :: OWNER(other) == end && other > above && outcome[other] == open -> settle(other, how)
    :: else
    fi
  }
}

inline stopHandlers(end) {
  for (other : 1 .. IDS - 1) {
    if :: OWNER(other) != end && handler[other] != 0 -> handler[other] = done :: else fi
  }
  serving[end] = 0
}

/* The link is closed, as far as this end knows. */
inline closed(end) {
  claim(no_call_lost, isForced || opened[end] == 0);
  claim(no_call_lost, isForced || waiting[end] == 0 || drainsToo);
  stopHandlers(end);
#ifndef MUTANT_CALLS_ARE_LEFT_OPEN
  settleAll(end, 0, unknown);
#endif
  waiting[end] = 0;
  isClosed[end] = true
}

inline onRequest(end, stream) {
  if
#ifndef MUTANT_SERVES_AFTER_GOAWAY
  :: isSealed[end] -> to[OTHER(end)]!refused(stream)
#endif
  :: else ->
    if :: !isSealed[end] -> lastRemote[end] = stream :: else fi;
    serving[end]++;
#ifndef MUTANT_SECOND_GOES_ON
    isSecond[end] = false;
#endif
    handler[stream] = running
  fi
}

inline onGoAway(end, last) {
  isRetired[end] = true;
  waiting[end] = 0; /* not sent */
  settleAll(end, last, notProcessed)
}

inline receive(end) {
  to[end]?kind(id);
  if
  :: kind == request -> onRequest(end, id)
  :: kind == response && outcome[id] == open -> settle(id, success)
  :: kind == cancelled && OWNER(id) == end && outcome[id] == open -> settle(id, unknown)
  :: kind == cancelled && OWNER(id) != end && handler[id] != done -> handler[id] = done; serving[end]--
  :: kind == goaway -> onGoAway(end, id)
  :: kind == close -> closed(end)
  :: else /* late; refused is: the GOAWAY before it has told as much */
  fi
}

inline sendClose(end) {
  to[OTHER(end)]!close(0);
  closed(end)
}

/* A second is over at the earliest when all messages have arrived, and those that can follow at once. */
#define IS_QUIET(end) (empty(to[0]) && empty(to[1]) && (waiting[end] == 0 || opened[end] == LIMIT(end)))
#ifdef MUTANT_SECOND_WITHOUT_LINK
#define HAS_PASSED(end) (isLost || IS_QUIET(OTHER(end)))
#else
#define HAS_PASSED(end) (!isLost && IS_QUIET(OTHER(end)))
#endif

active [2] proctype End() {
  byte end = _pid, id, other;
  mtype kind;

  d_step { nextId[end] = 1 + end; toMake[end] = 1 + end }
end_closed:
  do
  /* The application calls; its calls leave as the other end allows. */
  :: d_step { toMake[end] > 0 && !isSealed[end] && !isRetired[end] && !isClosed[end] -> toMake[end]--; waiting[end]++ }
  :: atomic { waiting[end] > 0 && opened[end] < LIMIT(end) && !isClosed[end] -> waiting[end]--; openStream(end, 0) }
  :: atomic { nempty(to[end]) && !isClosed[end] && !isLost -> receive(end) }

  /* This end drains. */
  :: atomic { (end == 1 || drainsToo) && !isSealed[end] && !isClosed[end] ->
      isSealed[end] = true;
#ifdef MUTANT_LAST_ID_OF_ANSWERED
      if :: handler[lastRemote[end]] == running -> lastRemote[end] = 0 :: else fi;
#endif
      to[OTHER(end)]!goaway(lastRemote[end]) }
  :: atomic { isSealed[end] && IS_IDLE(end) && !isClosed[end] && !isLost -> sendClose(end) }

  /* The other end drains: this one closes when no stream was open for a second. */
  :: d_step { isRetired[end] && !isSealed[end] && IS_IDLE(end) && !isSecond[end] && !isClosed[end] -> isSecond[end] = true }
  :: atomic { isSecond[end] && !isClosed[end] && HAS_PASSED(end) ->
      if
      :: isLost -> closed(end); closed(OTHER(end)) /* whose session is lost */
      :: else -> to[OTHER(end)]!goaway(lastRemote[end]); sendClose(end)
      fi }
  od
}

/* The handler of the stream with this id: it may call back, and answers. */
active [IDS] proctype Handler() {
  byte id = _pid - 2, end;
  bool hangs;

  end = OTHER(OWNER(id));
end_idle:
  handler[id] == running;
  if
  :: mayHang -> hangs = true
  :: parent[id] == 0 -> atomic {
      handler[id] != running || isRetired[end] || opened[end] < LIMIT(end) ->
      if
      :: handler[id] != running || isRetired[end] -> skip /* not sent */
#ifdef MUTANT_HANDLERS_MAY_NOT_CALL
      :: else -> claim(may_call_back, !isSealed[end]); skip
#else
      :: else -> handler[id] = calling; openStream(end, id)
#endif
      fi }
  :: skip
  fi;
end_hangs:
  if
  :: atomic { handler[id] == running && !hangs -> to[OTHER(end)]!response(id); handler[id] = done; serving[end]-- }
  :: handler[id] == done
  fi
}

active proctype Link() {
  if
  :: isLost = true;
    isLost = false
  :: skip
  fi
}

/* Time passes when nothing else happens: after 30 seconds, whoever drains gives up what is left. */
active proctype Time() {
  byte end, id, other;

  if :: drainsToo = true :: mayHang = true :: skip fi;
  do
  :: atomic { timeout ->
      if
#ifndef MUTANT_NO_LIMIT_IN_TIME
      :: isSealed[0] && !isClosed[0] -> end = 0
      :: isSealed[1] && !isClosed[1] -> end = 1
#endif
      :: else -> break
      fi;
      isForced = true;
      for (id : 1 .. IDS - 1) {
        if :: outcome[id] == open -> to[OTHER(end)]!cancelled(id) :: else fi
      }
      sendClose(end) }
  od;
  claim(connection_ends, isClosed[0] && isClosed[1]);
  for (id : 1 .. IDS - 1) {
    claim(has_outcome, outcome[id] != open);
    claim(not_processed, outcome[id] != notProcessed || handler[id] == 0)
  }
}
