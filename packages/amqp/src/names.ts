/** Where callers say that they have given up, by service. All instances hear of it; the one that has the call ends it. */
export const CANCEL_EXCHANGE = "flotilla.cancel";

/** The queue that stands for whoever asks, on the channel that asks (direct reply-to). */
export const REPLY_QUEUE = "amq.rabbitmq.reply-to";

/** Before the names of trailers, which stand among the headers of an answer. */
export const TRAILER = "trailer-";

/** What an answer is, in its property `type`; an answer without is a response. `refused`: an error, and no handler was called. */
export const ANSWER = { response: "response", error: "error", refused: "refused" } as const;
