// The host's end of the Pico's USB serial port, as bytes both ways. It answers a poll of the device only when there is
// something to say: answering each one with nothing would keep an idle guest busy for ever.

import { USBCDC } from 'rp2040js';

export class Serial {
  /** `receive(bytes)` is called with what the guest says. */
  constructor(usb, receive) {
    this.usb = usb;
    this.queue = [];
    this.wanted = 0; // bytes of a read that the guest waits with
    this.cdc = new USBCDC(usb);
    this.cdc.onSerialData = receive;
    usb.onEndpointRead = (endpoint, size) => {
      if (endpoint !== this.cdc.outEndpoint) return;
      this.wanted = size;
      this.deliver();
    };
  }

  send(bytes) {
    for (const byte of bytes) this.queue.push(byte);
    this.deliver();
  }

  deliver() {
    if (!this.wanted || !this.queue.length) return;
    const part = this.queue.splice(0, this.wanted);
    this.wanted = 0;
    this.usb.endpointReadDone(this.cdc.outEndpoint, Uint8Array.from(part));
  }
}
