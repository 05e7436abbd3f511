/*
 * Credit of two streams and of their connection, in one direction, with readers that stop.
 *
 * Sections: PROTOCOL.md, "Flow control", "Giving credit back" and "Frames in each state".
 * Bounds: two bodies of 4 bytes, in DATA of one byte; windows of 2 bytes at first, that of the connection too, so that one stream
 * can use up all of it; those of the first stream and of the connection double and halve at any time. 2 DATA and 3 CREDIT on their
 * way. The first reader stops twice, or for good, or resets its stream. The bytes that may be unread are none, or 4.
 *
 * claim within_credit: "A sender of DATA needs credit: of the stream, and of the connection." (PROTOCOL.md, "Flow control")
 *   A sender that keeps to what it was given is never found to be beyond the credit.
 * claim conserved: "DATA takes its body bytes off both credits. CREDIT adds its increment to one" (PROTOCOL.md, "Flow control")
 *   All credit that was given is at the sender, is on its way, or has become bytes that are on their way, unread, or consumed.
 * claim own_stream_only: "So a reader that stops stops its own stream only." (PROTOCOL.md, "Giving credit back")
 *   The other body is read to its end, unless more is unread than may be.
 * claim all_is_read: "Beyond that it is given back as they are consumed." (PROTOCOL.md, "Giving credit back")
 *   When readers go on, all is read, however few bytes may be unread.
 * claim few_unread: "as long as the unread bytes of all streams together are at most 32 MiB" (PROTOCOL.md, "Giving credit back")
 *   No more is unread than that and the window of the connection.
 */
#define claim(name, holds) assert(name || (holds))
hidden byte within_credit, conserved, own_stream_only, all_is_read, few_unread /* all 0: they name the claim in what pan prints */

#define BODY 4
#define WINDOW 2
#define CAP 4
#define CONNECTION 2 /* besides the streams 0 and 1 */
#define MAX(a, b) ((a) > (b) -> (a) : (b))

mtype = { credit, reset }

chan data = [2] of { byte } /* stream, for one byte */
chan back = [3] of { mtype, byte, byte } /* credit: stream or connection, increment; reset: stream */

/* The sender. */
short available[3] = WINDOW
byte unsent[2] = BODY

/* The receiver: its windows, what it finds the sender to have left of them, and bytes by stream. */
short size[3] = WINDOW, left[3] = WINDOW
byte unread[2], consumed[2]
byte maxUnread
bool isReading[2] = true, isReset[2], mayGoOn, mayReset
byte stops = 0

/* Used within steps only. */
hidden byte kind, which, bytes
hidden short held, increment, change

/* For the claims: credit that was ever given, and what is on its way. */
short given[3] = WINDOW, dataUnderWay[2], creditUnderWay[3]

#define UNREAD (unread[0] + unread[1])
#define USED(stream) (dataUnderWay[stream] + unread[stream] + consumed[stream])
#define IS_CONSERVED(which, used) (given[which] == available[which] + creditUnderWay[which] + (used))

inline check() {
  claim(conserved, isReset[0] || IS_CONSERVED(0, USED(0)));
  claim(conserved, IS_CONSERVED(1, USED(1)));
  claim(conserved, IS_CONSERVED(CONNECTION, USED(0) + USED(1)));
  claim(few_unread, UNREAD <= maxUnread + size[CONNECTION])
}

#ifdef MUTANT_NEEDS_NO_STREAM_CREDIT
#define CREDIT_OF_STREAM(stream) 1
#else
#define CREDIT_OF_STREAM(stream) available[stream]
#endif
#ifdef MUTANT_NEEDS_NO_CONNECTION_CREDIT
#define CREDIT_OF_CONNECTION 1
#else
#define CREDIT_OF_CONNECTION available[CONNECTION]
#endif
#define MAY_SEND(stream) (nfull(data) && unsent[stream] > 0 && CREDIT_OF_STREAM(stream) > 0 && CREDIT_OF_CONNECTION > 0)

inline send(stream) {
  unsent[stream]--;
  available[stream]--;
  available[CONNECTION]--;
  dataUnderWay[stream]++;
  data!stream;
  check()
}

inline onCredit(which, bytes) {
  creditUnderWay[which] = creditUnderWay[which] - bytes;
#ifdef MUTANT_CREDIT_REPLACES
  available[which] = bytes;
#else
  available[which] = available[which] + bytes;
#endif
  check()
}

active proctype Sender() {
end:
  do
  :: atomic { MAY_SEND(0) -> send(0) }
  :: atomic { MAY_SEND(1) -> send(1) }
  :: atomic { back?kind(which, bytes) ->
      if
      :: kind == credit -> onCredit(which, bytes)
      :: kind == reset -> unsent[which] = 0
      fi }
  od
}

/* Gives back what may be given back of a window, at least half of it; the window may double or halve then. */
inline grant(which) {
  increment = size[which] - left[which] - held;
  if
  :: increment > 0 && increment * 2 >= size[which] ->
    if
    :: change = 0
    :: which != 1 && size[which] < CAP -> change = size[which]
#ifdef MUTANT_TAKES_CREDIT_BACK
    :: which != 1 -> change = 1 - size[which]
#else
    :: which != 1 && size[which] > WINDOW -> change = 0 - size[which] / 2
#endif
    fi;
    increment = increment + change;
    size[which] = size[which] + change;
    left[which] = left[which] + increment;
    given[which] = given[which] + increment;
    creditUnderWay[which] = creditUnderWay[which] + increment;
    if :: increment > 0 -> back!credit(which, increment) :: else fi
  :: else
  fi
}

inline grantConnection() {
#ifdef MUTANT_CONNECTION_WAITS_FOR_READERS
  held = UNREAD;
#else
#ifdef MUTANT_CONNECTION_NEVER_WAITS
  held = 0;
#else
  held = MAX(0, UNREAD - maxUnread);
#endif
#endif
  grant(CONNECTION)
}

inline onData(stream) {
  dataUnderWay[stream]--;
  claim(within_credit, left[CONNECTION] > 0);
  left[CONNECTION]--;
  if
  :: isReset[stream] -> /* ignored */
    consumed[stream]++;
#ifndef MUTANT_IGNORED_DATA_COSTS
    grantConnection()
#endif
  :: else ->
    claim(within_credit, left[stream] > 0);
    left[stream]--;
    unread[stream]++;
    grantConnection()
  fi;
  check()
}

#define MAY_READ(stream) (isReading[stream] && unread[stream] > 0 && len(back) <= 1)

inline consume(stream) {
  unread[stream]--;
  consumed[stream]++;
  grantConnection();
#ifndef MUTANT_READING_GIVES_NOTHING
  held = unread[stream];
  grant(stream);
#endif
  check()
}

active proctype Receiver() {
  if :: maxUnread = 0 :: maxUnread = CAP fi;
  if :: mayGoOn = true :: mayReset = true :: skip fi;
end:
  do
  :: atomic { nempty(data) && len(back) <= 1 -> data?which; onData(which) }
  :: atomic { MAY_READ(0) -> consume(0) }
  :: atomic { MAY_READ(1) -> consume(1) }
  :: atomic { stops < 2 && isReading[0] -> isReading[0] = false; stops++ }
  :: atomic { mayGoOn && !isReading[0] -> isReading[0] = true }
  :: atomic { mayReset && !isReset[0] && len(back) <= 1 ->
      isReset[0] = true;
      back!reset(0, 0);
      consumed[0] = consumed[0] + unread[0];
      unread[0] = 0;
      grantConnection();
      check() }
  :: atomic { timeout ->
      claim(own_stream_only, consumed[1] == BODY || (maxUnread == 0 && !mayGoOn && !mayReset));
      claim(all_is_read, unsent[0] + unsent[1] + UNREAD == 0 || !mayGoOn);
      break }
  od
}
