// SPDX-License-Identifier: GPL-2.0-only
// custom: adjunct processors; what the instructions do is in kernel/arch/s390/ap.ts
export type ap_qid_t = number;

export const AP_MKQID = (card: number, queue: number): ap_qid_t => ((card & 0xff) << 8) | (queue & 0xff);
export const AP_QID_CARD = (qid: ap_qid_t): number => (qid >> 8) & 0xff;
export const AP_QID_QUEUE = (qid: ap_qid_t): number => qid & 0xff;

export {
  ap_aqic,
  ap_config_info,
  ap_instructions_available,
  ap_qci,
  type ap_qirq_ctrl,
  type ap_queue_status,
  ap_rapq,
  ap_tapq,
  ap_test_queue,
  ap_zapq,
} from "../../kernel/arch/s390/ap.ts";
