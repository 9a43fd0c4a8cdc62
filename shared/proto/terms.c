/* SPDX-License-Identifier: MIT
 *
 * The number is a hash (FNV-1a) of the encoded fields.
 */
#include "shared/proto/terms.h"

#include <errno.h>
#include <msgpack.h>

#include "shared/proto/fields.h"
#include "shared/proto/messages.h"

const struct field spec_restart_fields[] = {
    FIELD(struct spec_restart, attempts, UINT),
    FIELD(struct spec_restart, interval_ns, UINT),
    FIELD(struct spec_restart, delay_ns, UINT),
    FIELD(struct spec_restart, mode, UINT, .max = SPEC_RESTART_MODE_N - 1),
    FIELD(struct spec_restart, on_success, BOOL),
    {0}};

const struct field spec_log_fields[] = {
    FIELD(struct spec_logs, max_files, UINT),
    FIELD(struct spec_logs, max_file_size, UINT),
    FIELD(struct spec_logs, disabled, BOOL),
    FIELD_SPARSE(struct spec_logs, max_age_ns, UINT),
    FIELD_SPARSE(struct spec_logs, max_total_bytes, UINT),
    FIELD_SPARSE(struct spec_logs, compress, UINT, .max = SPEC_COMPRESS_N - 1),
    FIELD_SPARSE(struct spec_logs, compress_after_ns, UINT),
    FIELD_SPARSE(struct spec_logs, on_full, UINT, .max = SPEC_ON_FULL_N - 1),
    {0}};

const struct field spec_terms_fields[] = {
    FIELD(struct spec_terms, id, UINT),
    FIELD(struct spec_terms, restart, MAP, .sub = spec_restart_fields),
    FIELD(struct spec_terms, kill_signal, INT),
    FIELD(struct spec_terms, kill_timeout_ns, UINT),
    FIELD(struct spec_terms, shutdown_delay_ns, UINT),
    FIELD(struct spec_terms, logs, MAP, .sub = spec_log_fields),
    {0}};

void spec_terms_of(const struct exec_spec *spec, struct spec_terms *ret_terms)
{
    *ret_terms = (struct spec_terms){
        .restart = spec->restart,
        .kill_signal = spec->kill_signal,
        .kill_timeout_ns = spec->kill_timeout_ns,
        .shutdown_delay_ns = spec->shutdown_delay_ns,
        .logs = spec->logs,
    };
    ret_terms->id = spec_terms_id(ret_terms);
}

void spec_take_terms(struct exec_spec *spec, const struct spec_terms *terms)
{
    spec->terms_id = terms->id;
    spec->restart = terms->restart;
    spec->kill_signal = terms->kill_signal;
    spec->kill_timeout_ns = terms->kill_timeout_ns;
    spec->shutdown_delay_ns = terms->shutdown_delay_ns;
    if (spec->logs.disabled == terms->logs.disabled)
        spec->logs = terms->logs;
}

static int hash(void *arg, const char *data, size_t size)
{
    uint64_t *h = arg;

    for (size_t i = 0; i < size; i++)
        *h = (*h ^ (unsigned char)data[i]) * 0x100000001b3;
    return 0;
}

uint64_t spec_terms_id(const struct spec_terms *terms)
{
    struct spec_terms unnumbered = *terms;
    uint64_t h = 0xcbf29ce484222325;
    msgpack_packer pk;

    unnumbered.id = 0;
    msgpack_packer_init(&pk, &h, hash);
    (void)fields_pack(&pk, spec_terms_fields, &unnumbered); /* the sink takes everything */
    return h ? h : 1;
}

int spec_terms_check(const struct spec_terms *terms, struct err *e)
{
    if (terms->kill_signal < 0 || terms->kill_signal > 64)
        return err_set(e, -EBADMSG, "\"kill_signal\" %d is no signal", terms->kill_signal);
    if (!terms->logs.disabled && (!terms->logs.max_files || !terms->logs.max_file_size))
        return err_set(e, -EBADMSG, "\"logs\" keeps no files");
    return 0;
}
