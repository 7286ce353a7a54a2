// Stands in for node:events in the static command: as much of it as commander uses.
export class EventEmitter {
  #listeners = new Map();

  on(name, listener) {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) this.#listeners.set(name, [listener]);
    else listeners.push(listener);
    return this;
  }

  emit(name, ...values) {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) return false;
    for (const listener of listeners) listener.apply(this, values);
    return true;
  }

  listenerCount(name) {
    return this.#listeners.get(name)?.length ?? 0;
  }
}
